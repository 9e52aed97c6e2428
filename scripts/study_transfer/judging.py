"""The planner against the grid: what it chooses in a tenth of the grid's time, and how far that is from the best."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from scripts.study_transfer.cells import Setting, append, config, part, read
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.evaluation.metrics import HARDLY_A_WORD
from speechxfer.planner.planner import make_plan

#: Share of a setting's time that the planner gets, a little less than the tenth that it may take, for it ends what it
#: has begun; and how much worse than the best its choice may be.
SHARE, MOST_WORSE = 0.085, 0.05


def by_setting(lines: Iterable[dict[str, Any]]) -> dict[Setting, list[dict[str, Any]]]:
    found: dict[Setting, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        found[Setting.of(line)].append(line)
    return found


def figures(lines: Iterable[dict[str, Any]], name: str = "") -> dict[str, float]:
    """By preset the mean over seeds of an error rate, or of minus the accuracy: less is better.

    Without a name it is what presets are compared by: words, or characters where no preset gets a word in ten right,
    as the package chooses epochs.
    """
    lines = list(lines)
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        test = line["test"]
        found[line["preset"]].append(test[name or "wer"] if "wer" in test else -test["accuracy"])
    means = {preset: statistics.mean(values) for preset, values in found.items()}
    return means if name or min(means.values()) <= HARDLY_A_WORD else figures(lines, "cer")


def worse(chosen: float, best: float) -> float:
    """How much worse a figure is than the best, as a share of it."""
    return (chosen - best) / abs(best) if best else float(chosen > best)


def best_of(found: dict[str, float]) -> str:
    return min(found, key=found.__getitem__)


def judge(results: Path, judged: Path, settings: Sequence[Setting], share: float) -> None:
    """Have the planner choose for every setting that has cells."""
    done = {Setting.of(line) for line in read(judged)}
    for setting, lines in by_setting(read(results)).items():
        if setting in done or setting not in settings or len(found := figures(lines)) < 2:
            continue
        # One seed's: what a person would spend who tries every preset once.
        grid_s = sum(statistics.mean(line["cpu_s"] for line in lines if line["preset"] == preset) for preset in found)
        begun = time.process_time()
        with TemporaryDirectory() as folder:
            train = part(setting, Path(folder))
            assert train is not None
            base = config(setting, train[0], "", lines[0]["epochs"], seed=1)
            plan = make_plan(
                base, [setting.model], share * grid_s, presets=list(found), vary=False, progress=TerminalProgress()
            )
        spent_s, choice, best = time.process_time() - begun, plan.choice.preset, best_of(found)
        line = {
            **asdict(setting), "grid_s": round(grid_s, 1), "best": best, "choice": choice, "case": plan.case.number,
            "textbook": plan.case.preset, "spent_s": round(spent_s, 1), "share": round(spent_s / grid_s, 4),
            "tried": sorted({one.candidate.preset for one in plan.entries if one.points}),
        }  # fmt: skip
        append(judged, line)
        click.echo(
            f"{setting.name}: {choice} is {worse(found[choice], found[best]):+.1%} from {best}, in {line['share']:.1%}",
            err=True,
        )
