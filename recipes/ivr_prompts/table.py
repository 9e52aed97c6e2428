"""The result table of this recipe's README, from the runs of train.py."""

from __future__ import annotations

import json
from pathlib import Path

import click

NAMES = {"en": "English", "es": "Spanish", "fr": "French", "it": "Italian", "ru": "Russian"}


def table_row(language: str, run: Path) -> str:
    metrics = json.loads((run / "metrics.json").read_text())
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
        if (run / "metrics.json").is_file():
            click.echo(table_row(language, run))


if __name__ == "__main__":
    table()
