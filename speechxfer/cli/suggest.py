"""`speechxfer suggest`: which recordings to transcribe next."""

from __future__ import annotations

from pathlib import Path

import click

from speechxfer.cli.paths import MODEL, PATH


@click.command()
@click.argument("model", type=MODEL)
@click.argument("recordings", type=PATH)
@click.option("--count", required=True, type=int, metavar="N", help="How many recordings to suggest.")
@click.option("--output", required=True, type=PATH, help="Manifest for them, with the model's texts to be corrected; must not be there yet.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def suggest(model: str, recordings: Path, count: int, output: Path, device: str) -> None:
    """Choose the recordings of a manifest whose transcripts would help MODEL most.

    They stand for many others of which the model is not certain. Recordings that have a text already are not suggested.
    """
    import speechxfer as sx

    progress = sx.TerminalProgress()
    found = sx.suggest(model, recordings, count, output=output, device=device, progress=progress)
    progress.log(f"{len(found)} recordings, {found.duration_s / 60:.1f} minutes; correct their texts in {output}")
