"""What the small model is worth once it is fine-tuned: spoken digits, and characters from one hour of speech.

    python -m scripts.pretrain_nano.measure digits wav2vec2-nano
    python -m scripts.pretrain_nano.measure characters wav2vec2-nano
    python -m scripts.pretrain_nano.measure characters wav2vec2-nano --random

`--random` throws the weights away and keeps the architecture; everything else is the same, so both have the same
budget of compute. Each figure is written to `results/` with what it was made with. Digits are split by the set's own
rule (takes 0 to 4 are the test; here takes 5 to 9 of the rest choose the epoch); the hour is the first one of a
shuffled speechocean762 training half, and dev is its dev half.
"""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import torch

import speechxfer as sx
from scripts.bench.machine import describe
from scripts.pretrain_nano.student import fresh, write
from speechxfer.cli import Command
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.config import build, merge, parse_assignment
from speechxfer.encoders.checkpoints import find
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"
_DIGITS: dict[str, Any] = {
    "head": "classification",
    "plan": {"encoder_lr": 5e-4, "head_lr": 1e-3, "head_only_ratio": 0.0},
    "training": {"epochs": 6, "batch_seconds": 8.0},
    "augment": {"mask_time_length": 3},  # a digit has some twenty
}
_CHARACTERS: dict[str, Any] = {
    "plan": {"encoder_lr": 5e-4, "head_lr": 3e-3, "freeze_frontend": False, "head_only_ratio": 0.0},
    "training": {"epochs": 3, "batch_seconds": 16.0, "cache": "off"},
}


def digits(corpora: Path, folder: Path) -> dict[str, str]:
    """Manifests of the digits."""
    train = sx.Manifest.read(corpora / "fsdd" / "train.jsonl")
    takes = {one.id: int(one.path.stem.rsplit("_", 1)[1]) for one in train}
    sx.Manifest(one for one in train if takes[one.id] >= 10).write(folder / "train.jsonl")
    sx.Manifest(one for one in train if takes[one.id] < 10).write(folder / "dev.jsonl")
    return {
        "train": str(folder / "train.jsonl"),
        "dev": str(folder / "dev.jsonl"),
        "test": str(corpora / "fsdd" / "test.jsonl"),
    }


def an_hour(corpora: Path, folder: Path, *, hours: float, dev_utterances: int) -> dict[str, str]:
    """Manifests of the characters; the curve is measured on the first `dev_utterances` of a shuffled dev half."""
    source = corpora / "speechocean762"
    train, dev = (list(sx.Manifest.read(source / f"{name}.jsonl").with_durations()) for name in ("train", "dev"))
    for part in (train, dev):
        random.Random(1).shuffle(part)
    budget, chosen = hours * 3600, []
    for utterance in train:
        budget -= utterance.duration or 0.0
        if budget < 0:
            break
        chosen.append(utterance)
    sx.Manifest(chosen).write(folder / "train.jsonl")
    sx.Manifest(dev[:dev_utterances]).write(folder / "dev.jsonl")
    return {"train": str(folder / "train.jsonl"), "dev": str(folder / "dev.jsonl"), "test": str(source / "dev.jsonl")}


def without_weights(model: str, folder: Path) -> str:
    """The same architecture with random weights, as a folder."""
    from transformers import Wav2Vec2Config

    write(fresh(Wav2Vec2Config.from_pretrained(find(model).folder), seed=1), folder)
    return str(folder)


def measured(settings: dict[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Fine-tune and tell: the curve on dev, the figures on test, seconds by the clock and of the processor."""
    greedy = {"language_model": "none"}
    config = build(sx.FinetuneConfig, merge([settings, greedy, *map(parse_assignment, assignments)]))
    clock, processor = time.monotonic(), time.process_time()
    run = sx.finetune(config=config, progress=TerminalProgress())
    curve, metrics = RunFolder(run.folder).history, RunFolder(run.folder).metrics
    return {
        "curve": curve,
        "test": {name: value for name, value in metrics["after"].items() if isinstance(value, int | float)},
        "seconds": {**metrics["seconds"], "all": round(time.monotonic() - clock, 1)},
        "processor_s": round(time.process_time() - processor, 1),
        "plan": dataclasses.asdict(config.plan),
        "training": dataclasses.asdict(config.training),
        "machine": describe(),
    }


@click.command(cls=Command, help=__doc__)
@click.argument("task", type=click.Choice(["digits", "characters"]))
@click.argument("model")
@click.option("--random", "is_random", is_flag=True, help="The same architecture with random weights.")
@click.option("--corpora", type=click.Path(path_type=Path), default=Path("corpora"), show_default=True)
@click.option("--hours", type=float, default=1.0, show_default=True, help="Of speech for the characters.")
@click.option("--dev-utterances", type=int, default=200, show_default=True, help="For the characters' curve.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--result", type=click.Path(path_type=Path), help="Where to write (default: results/TASK[-random].json).")
def main(
    task: str, model: str, is_random: bool, corpora: Path, hours: float, dev_utterances: int,
    assignments: tuple[str, ...], threads: int, result: Path | None,
) -> None:  # fmt: skip
    torch.set_num_threads(threads)
    corpora = corpora.resolve()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        files = digits(corpora, folder) if task == "digits" else an_hour(corpora, folder, hours=hours, dev_utterances=dev_utterances)  # fmt: skip  # noqa: E501
        start = without_weights(model, folder / "random") if is_random else model
        given = {"model": start, "output": str(folder / "run"), "device": "cpu", **files}
        found = measured(merge([_DIGITS if task == "digits" else _CHARACTERS, given]), assignments)
    path = result or RESULTS / f"{task}{'-random' if is_random else ''}.json"
    write_json(path, {"start": "random weights" if is_random else model, **found})
    click.echo(json.dumps(found["test"]))


if __name__ == "__main__":
    main()
