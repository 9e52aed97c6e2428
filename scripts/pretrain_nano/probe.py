"""What each layer of a frozen encoder knows: linear probes on spoken digits and on telephone prompts.

    python -m scripts.pretrain_nano.probe wav2vec2-nano
    python -m scripts.pretrain_nano.probe data/nano/run/finished --quick

Digits: logistic regression on the mean and the deviation of a layer's frames over time. Prompts: one linear layer from
a frame to characters, trained by CTC; its character error rate counts. The first row is the same probe on the log-mel
spectrogram (80 bands, two frames of 10 ms side by side). `--quick` looks at nothing that figures are reported on: it
trains on four speakers of the digits' training half and tests on the two others, and learns from a third of the
Italian prompts for dev.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import torch

from speechxfer import Manifest, Utterance
from speechxfer.cli import Command
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.planner.probe import probe
from speechxfer.storage import write_json

_QUICK_SPEAKERS = ("theo", "yweweler")
#: What is learned from, and what is measured on.
_Parts = tuple[Iterable[Utterance], Iterable[Utterance]]


def digit_parts(corpora: Path, *, quick: bool) -> _Parts:
    """Training and test utterances of the digits."""
    train = Manifest.read(corpora / "fsdd" / "train.jsonl")
    if not quick:
        return train, Manifest.read(corpora / "fsdd" / "test.jsonl")
    return (
        [one for one in train if one.speaker not in _QUICK_SPEAKERS][::2],
        [one for one in train if one.speaker in _QUICK_SPEAKERS],
    )


def prompt_parts(prompts: Path, language: str, *, quick: bool) -> _Parts:
    """Training and test utterances of one language."""
    folder = prompts / f"ivr-{language}"
    train = Manifest.read(folder / "train.jsonl")
    if not quick:
        return train, Manifest.read(folder / "test.jsonl")
    return train[::3], Manifest.read(folder / "dev.jsonl")


def table(
    encoder: Encoder, languages: Sequence[str], corpora: Path, prompts: Path, *, quick: bool
) -> dict[str, dict[str, float]]:
    """For the spectrogram and each layer the accuracy on digits and the error rate on each language's prompts."""
    rows: dict[str, dict[str, float]] = {}
    tasks = {"digits": digit_parts(corpora, quick=quick)}
    tasks |= {language: prompt_parts(prompts, language, quick=quick) for language in languages}
    for task, parts in tasks.items():
        head = "classification" if task == "digits" else "ctc"
        found = probe(encoder, task, *map(Manifest, parts), head=head, seconds=math.inf)
        for row in found.rows:
            name = row.name if not row.seam else f"layer {row.seam}"
            rows.setdefault(name, {})[task] = 1.0 - row.error if task == "digits" else row.error
    return rows


@click.command(cls=Command, help=__doc__)
@click.argument("model")
@click.option("--corpora", type=click.Path(path_type=Path), default=Path("corpora"), show_default=True)
@click.option("--prompts", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--language", "languages", multiple=True, default=("en", "es", "fr", "it", "ru"), show_default=True)
@click.option("--quick", is_flag=True, help="Italian only, and on nothing that is reported.")
@click.option("--result", type=click.Path(path_type=Path), help="Also write the figures as JSON.")
@click.option("--threads", type=int, default=1, show_default=True)
def main(
    model: str, corpora: Path, prompts: Path, languages: tuple[str, ...], quick: bool, result: Path | None, threads: int
) -> None:
    torch.set_num_threads(threads)
    chosen = ("it",) if quick else languages
    rows = table(load_encoder(model, *find(model).read()), chosen, corpora, prompts, quick=quick)
    columns = ["digits", *chosen]
    cells = [[where, *(f"{row[column]:.3f}" for column in columns)] for where, row in rows.items()]
    TerminalProgress().table(model, ["", *columns], cells)
    if result:
        write_json(result, rows)
    click.echo(json.dumps(rows))


if __name__ == "__main__":
    main()
