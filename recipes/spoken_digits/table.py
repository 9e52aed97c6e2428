"""The result tables of this recipe's README, from the runs of train.py."""

from __future__ import annotations

from pathlib import Path

import click

import speechxfer as sx
from speechxfer.runs import RunFolder


def row(run: Path) -> tuple[str, float]:
    """A line of the table, and the share of the test's utterances that are right."""
    folder = RunFolder(run)
    config, metrics = folder.config, folder.metrics
    after, test = metrics["after"], config.test or ""
    right = after["accuracy"] if "accuracy" in after else 1.0 - after["wer"]
    seconds = sum(metrics["seconds"].values())
    cells = (
        Path(config.model).name,
        config.head,
        Path(test).parent.name.partition("without-")[2] or "none",
        f"{right:.3f}",
        str(len(sx.Manifest.read(test))),
        f"{seconds:.0f}",
    )
    return f"| {' | '.join(cells)} |", right


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def table(runs: tuple[Path, ...]) -> None:
    """Print a line for each of RUNS as Markdown, and their mean.

    Of a CTC head it is the share of words that are right: one minus the word error rate.
    """
    click.echo("| model | head | left out | accuracy | test utterances | seconds |")
    click.echo("|---|---|---|---|---|---|")
    lines = [row(run) for run in runs]
    for line, _ in lines:
        click.echo(line)
    if len(lines) > 1:
        click.echo(f"mean accuracy {sum(right for _, right in lines) / len(lines):.3f}")


if __name__ == "__main__":
    table()
