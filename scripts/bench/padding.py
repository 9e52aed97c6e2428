"""How much of what is computed in training is padding, on each corpus given, at several step sizes.

    python -m scripts.bench.padding data/ivr-it/train.jsonl CORPUS/train.jsonl

Beside our batches stand those of `transformers`' Trainer with as many utterances in a batch: in random order, and
grouped by length. Shares are means over several epochs; nothing is read but lengths.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import torch

import speechxfer as sx
from scripts.bench.machine import command, describe
from speechxfer.data.batching import batches, padding_share, steps
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"
Cut = list[list[int]]


def in_batches(order: Sequence[int], size: int) -> Cut:
    """The order cut into batches of so many utterances."""
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def in_random_order(durations: Sequence[float], size: int, epoch: int) -> Cut:
    """Trainer's batches where nothing is said about lengths."""
    order = list(range(len(durations)))
    random.Random(epoch).shuffle(order)
    return in_batches(order, size)


def grouped_by_length(durations: Sequence[float], size: int, epoch: int) -> Cut:
    """Trainer's batches with `train_sampling_strategy="group_by_length"`."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    lengths = [round(duration * 16_000) for duration in durations]
    return in_batches(get_length_grouped_indices(lengths, size, generator=torch.Generator().manual_seed(epoch)), size)


def shares(durations: Sequence[float], batch_s: float, epochs: int) -> dict[str, Any]:
    """Padding of one corpus at one budget, by our batches and by Trainer's of the same mean size."""
    # Our training computes a step in pieces that waste little, of at most the step's own size.
    ours = [
        [
            piece
            for step in steps(durations, batch_s, seed=1, epoch=epoch)
            for piece in batches(step, durations, batch_s)
        ]
        for epoch in range(epochs)
    ]
    num_steps = len(steps(durations, batch_s, seed=1, epoch=0))
    size = max(1, round(len(durations) / num_steps))

    def mean(cut: Callable[[int], Cut]) -> float:
        fractions = (padding_share([[durations[i] for i in batch] for batch in cut(epoch)]) for epoch in range(epochs))
        return round(statistics.fmean(fractions), 4)

    return {
        "batch_s": batch_s,
        "steps": num_steps,
        "utterances_a_step": size,
        "ours": mean(lambda epoch: ours[epoch]),
        "whole_steps": mean(lambda epoch: steps(durations, batch_s, seed=1, epoch=epoch)),
        "group_by_length": mean(lambda epoch: grouped_by_length(durations, size, epoch)),
        "random": mean(lambda epoch: in_random_order(durations, size, epoch)),
    }


@click.command()
@click.argument("manifests", nargs=-1, required=True)
@click.option("--batch-s", "budgets", type=float, multiple=True, default=(10.0, 20.0, 60.0, 240.0), show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Default: results/padding.json; - writes nothing.")
def main(manifests: tuple[str, ...], budgets: tuple[float, ...], epochs: int, output: Path | None) -> None:
    corpora = []
    for path in manifests:
        data = sx.Manifest.read(path).with_durations()
        durations = [utterance.duration or 0.0 for utterance in data]
        rows = [shares(durations, budget, epochs) for budget in budgets]
        name = "/".join(Path(path).absolute().parts[-2:])
        corpora.append({"corpus": name, "utterances": len(data), "audio_s": round(sum(durations), 1), "rows": rows})
        click.echo(f"{name}: {len(data)} utterances, {sum(durations) / 60:.1f} min")
        for row in rows:
            figures = "  ".join(f"{key} {row[key]:.3f}" for key in ("ours", "whole_steps", "group_by_length", "random"))
            click.echo(f"  {row['batch_s']:5.0f} s, {row['utterances_a_step']:3} utterances a step: {figures}")
    if str(output) != "-":
        record = {"corpora": corpora, "epochs": epochs, "machine": describe(), "command": command()}
        write_json(output or RESULTS / "padding.json", record)


if __name__ == "__main__":
    main()
