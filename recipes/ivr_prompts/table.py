"""The result table of this recipe's README, from the runs of train.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from speechxfer.runs import RunFolder

NAMES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}


def table_row(language: str, metrics: Mapping[str, Any]) -> str:
    minutes = sum(metrics["seconds"].values()) / 60
    before, after = metrics["before"], metrics["after"]
    rates = " | ".join(f"{side[rate]:.3f}" for rate in ("wer", "cer") for side in (before, after))
    return f"| {NAMES[language]} | {rates} | {after['words']} | {after['utterances']} | {minutes:.1f} |"


@click.command()
@click.option("--row", type=click.Choice(["ctc", "seq2seq", "base"]), default="ctc", show_default=True)
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
def table(row: str, runs: Path) -> None:
    """Print the table as Markdown; languages without a finished run are left out."""
    click.echo("| language | WER before | after | CER before | after | test words | utterances | training, minutes |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for language in NAMES:
        run = runs / (f"ivr-{language}" if row == "ctc" else f"ivr-{language}-{row}")
        if metrics := RunFolder(run).metrics:
            click.echo(table_row(language, metrics))


if __name__ == "__main__":
    table()
