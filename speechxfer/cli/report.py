"""`speechxfer report`: a run as one page."""

from __future__ import annotations

from pathlib import Path

import click

from speechxfer.cli.moved import moved_options, places
from speechxfer.cli.paths import PATH


@click.command()
@click.argument("folder", metavar="RUN", type=PATH)
@click.option("--model-card", is_flag=True, help="Write RUN/model/README.md again too; what was added by hand is lost.")
@moved_options
def report(folder: Path, model_card: bool, **moved: Path | None) -> None:
    """Write the page of RUN again and print where it is.

    RUN is a folder that `speechxfer finetune` wrote. The page is one file with everything in it: figures, curves, the
    worst utterances with their sound, and how to reproduce the run.
    """
    import speechxfer as sx
    from speechxfer.runs import RunFolder

    click.echo(sx.report(folder, model_card=model_card, places=places(moved)))
    if model_card:
        click.echo(RunFolder(folder).model_card)
