"""What to freeze and how fast: corpora x sizes x models x presets x seeds, and whether the planner finds the best.

    python -m scripts.study_transfer --corpus spoken_digits --model wav2vec2-nano --minutes 5
    python -m scripts.study_transfer --judge
    python -m scripts.study_transfer --page

Every cell is a process of its own, so that its memory is its own, and leaves one line in the results; cells that have
one are passed over, so that the grid may be filled piece by piece. `--judge` gives the planner a tenth of the time
that a setting's cells took and compares its choice with their best. `--page` writes the tables between the marks in
docs/transfer.md, leaves what stands around them, and draws the picture.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch

from scripts.study_transfer.cells import (
    CORPORA,
    EPOCHS,
    MODELS,
    SIZES,
    TRAINED_MIN,
    Cell,
    Setting,
    epochs_for,
    fill,
    run_cell,
)
from scripts.study_transfer.judging import SHARE, judge
from scripts.study_transfer.page import PAGE, write_page
from speechxfer.cli import Command
from speechxfer.transfer.presets import PRESETS

RESULTS = Path("scripts/results/transfer.jsonl")


@click.command(cls=Command, help=__doc__)
@click.option("--corpus", "corpora", multiple=True, type=click.Choice(list(CORPORA)), default=tuple(CORPORA))
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True)
@click.option("--minutes", "sizes", multiple=True, type=float, default=SIZES, show_default=True, help="0: all.")
@click.option("--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), default=tuple(PRESETS))
@click.option("--seed", "seeds", multiple=True, type=int, default=(1,), show_default=True)
@click.option(
    "--epochs", type=int, help=f"Default: as many as train on {TRAINED_MIN:g} minutes, {EPOCHS[0]} to {EPOCHS[1]}."
)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting; for --results of their own."
)
@click.option("--threads", type=int, default=1, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--judge", "judging", is_flag=True, help="Compare the planner's choices with the grid.")
@click.option("--share", type=float, default=SHARE, show_default=True, help="Of the grid's time, for the planner.")
@click.option("--page", "paging", is_flag=True, help=f"Write the tables into {PAGE}.")
@click.option("--cell", "one", hidden=True, help="Run this cell and print its line.")
def main(
    corpora: tuple[str, ...], models: tuple[str, ...], sizes: tuple[float, ...], presets: tuple[str, ...],
    seeds: tuple[int, ...], epochs: int | None, changes: tuple[str, ...],
    threads: int, results: Path, judging: bool, share: float, paging: bool,
    one: str | None,
) -> None:  # fmt: skip
    if changes and results == RESULTS:
        raise click.UsageError(f"--set changes what is compared in {RESULTS}; wanted --results FILE of their own")
    torch.set_num_threads(threads)
    judged = results.with_name(f"{results.stem}-judged.jsonl")
    settings = [Setting(corpus, minutes, model) for corpus in corpora for minutes in sizes for model in models]
    if one:
        click.echo(json.dumps(run_cell(Cell.of(json.loads(one)))))
    elif judging:
        judge(results, judged, settings, share)
    elif paging:
        write_page(results, judged)
    else:
        cells = [
            Cell(setting, preset, seed, epochs or epochs_for(setting), changes)
            for seed in seeds
            for setting in settings
            for preset in presets
        ]
        fill(cells, results, threads)


if __name__ == "__main__":
    main()
