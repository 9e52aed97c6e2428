"""`speechxfer report`: a run as one page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--model-card", is_flag=True, help="Write RUN/model/README.md anew too; what was added by hand is lost.")
def report(folder: Path, model_card: bool) -> None:
    """Write RUN/report.html anew and print where it is.

    RUN is a folder that `speechxfer finetune` wrote. The page is one file with everything in it: figures, curves, the
    worst utterances with their sound, and how to reproduce the run.
    """
    from speechxfer.report import write_model_card, write_report

    click.echo(write_report(folder))
    if model_card:
        click.echo(write_model_card(folder))
