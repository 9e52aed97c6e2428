"""Learning curves of presets, and whether forecasts from their beginnings hold at their ends.

    python -m scripts.bench.forecasts --corpus ivr-it --time 60s --results FILE     # measures; a line of JSON a curve
    python -m scripts.bench.forecasts --judge --results FILE                        # coverage, exponents, noise
    python -m scripts.bench.forecasts --judge --runs plan_in_time.jsonl --results FILE      # and those of whole runs

A curve is a trial of the planner, measured at several fractions of a run of so many seconds of processor time (give
OMP_NUM_THREADS=1). What is judged is also fitted with each curve left out.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

import speechxfer as sx
from scripts.bench.plan_in_time import HEADS, read
from scripts.study_transfer.cells import DATA, MODELS
from speechxfer.config import PlanConfig, build
from speechxfer.config.durations import seconds
from speechxfer.planner.forecast import ERRORS, HEAD_ERRORS, WHOLE_ERRORS, Point, final_error
from speechxfer.planner.racing import Horizon
from speechxfer.planner.trial import Bench, Trial

#: Of a run; the fall of the rate after the last one ends it.
FRACTIONS = (0.03, 0.06, 0.12, 0.25, 0.8)
PRESETS = ("fine-tune-top", "fine-tune", "lower-layers", "feature-extraction")
SLOPES = {"feature-extraction": HEAD_ERRORS, "fine-tune": WHOLE_ERRORS}
#: Of dev, where whole runs are judged, about.
_LABELS = 1000
#: A run that went on from a trial has no beginning of its own: its first measurement comes later than this.
_BEGINNING = 0.15


def curve(corpus: str, model: str, preset: str, run_s: float) -> dict[str, Any]:
    """The points of a trial, the last one at the end of a run."""
    folder, (head, _) = DATA / corpus, HEADS[corpus]
    places = {name: str((folder / f"{name}.jsonl").resolve()) for name in ("train", "dev")}
    unknown = {"ctc": {"ignore_unknown": True}} if head == "ctc" else {}
    values = {"model": model, "head": head, "device": "cpu", "output": "run", **places, **unknown}
    base = build(sx.FinetuneConfig, values)
    train, dev = (sx.Manifest.read(places[name]).with_durations() for name in ("train", "dev"))
    horizon = Horizon(base.training.epochs, run_s, 0.0)
    with TemporaryDirectory() as work:
        bench = Bench(base, train, dev, Path(work))
        config = replace(base, plan=PlanConfig(preset=preset))
        trial, points = Trial(bench, config, len(dev), horizon.fraction, time.process_time), []
        for fraction in FRACTIONS:
            trial.advance(fraction, len(train), math.inf)
            points.append(asdict(trial.measure(math.inf)))
        labels = trial.num_labels
    cell = {"corpus": corpus, "model": model, "preset": preset, "run_s": run_s}
    return {**cell, "labels": labels, "points": points}


def of_runs(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The curves of whole runs that write text, as `scripts.bench.plan_in_time` keeps them."""
    found = []
    for line in lines:
        history = [one for one in line.get("history") or () if "dev_cer" in one]
        if len(history) < 5 or history[0]["step"] > _BEGINNING * history[-1]["step"]:
            continue
        preset = line["choice"]["plan"]["preset"] if line.get("choice") else line["way"].split()[0]
        points = [
            Point(one["step"] / history[-1]["step"], one["step"], 0.0, one["dev_cer"], one["dev_loss"])
            for one in history
        ]
        curve_of = {
            "corpus": line["corpus"],
            "model": line["model"],
            "preset": preset,
            "run_s": seconds(line["time"], "time"),
        }
        found.append({**curve_of, "labels": _LABELS, "points": [asdict(one) for one in points]})
    return found


def exponent(points: Sequence[Point]) -> float:
    """How fast the error falls from the first point to the last one."""
    first, last = points[0], points[-1]
    return math.log(max(first.error, 1e-3) / max(last.error, 1e-3)) / math.log(last.fraction / first.fraction)


def judge(lines: Sequence[dict[str, Any]]) -> None:
    """By number of points: how often the interval holds the error at the end; and what exponents are."""
    curves = [[Point(**one) for one in line["points"]] for line in lines]
    for line, points in zip(lines, curves, strict=True):
        others = [exponent(two) for two, other in zip(curves, lines, strict=True) if _alike(line, other)]
        fitted = f", {fmean(others):.2f} ± {stdev(others):.2f} in others" if len(others) > 1 else ""
        losses = " ".join(f"{one.fraction:.2f}: {one.loss:.3f} ({one.error:.3f})" for one in points)
        click.echo(
            f"{line['corpus']} {line['model']} {line['preset']}: exponent {exponent(points):.2f}{fitted}; {losses}"
        )
    for count in (1, 2, 3, 4):
        held, off = [], []
        for line, points in zip(lines, curves, strict=True):
            end, known = points[-1], points[:count]
            error = final_error(known, SLOPES.get(line["preset"], ERRORS), line["labels"])
            held.append(error.low <= end.error <= error.high)
            off.append(math.log(max(end.error, 1e-3) / error.value))
        spread = float(np.sqrt(np.mean(np.square(off))))
        click.echo(f"{count} points: {sum(held)} of {len(held)} intervals hold; mean {fmean(off):+.2f}, deviation {spread:.2f} of the logarithm")  # fmt: skip  # noqa: E501


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one is not other and (one["preset"] == "feature-extraction") == (other["preset"] == "feature-extraction")


@click.command()
@click.option("--time", "limit", default="60s", show_default=True, help="Of a whole run, in processor time.")
@click.option("--corpus", "corpora", multiple=True, type=click.Choice(sorted(HEADS)))
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True)
@click.option("--preset", "presets", multiple=True, default=PRESETS, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=Path("curves.jsonl"), show_default=True)
@click.option("--judge", "judging", is_flag=True, help="Only print what the results say.")
@click.option("--runs", type=click.Path(path_type=Path), help="Judge these runs of plan_in_time as well.")
def main(
    limit: str, corpora: Sequence[str], models: Sequence[str], presets: Sequence[str], results: Path, judging: bool,
    runs: Path | None,
) -> None:  # fmt: skip
    """Measure what has no line yet."""
    cells = [(corpus, model, preset) for corpus in corpora for model in models for preset in presets]
    for corpus, model, preset in () if judging else cells:
        cell = {"corpus": corpus, "model": model, "preset": preset, "run_s": seconds(limit, "--time")}
        if not any(cell.items() <= line.items() for line in read(results)):
            line = curve(corpus, model, preset, seconds(limit, "--time"))
            with results.open("a") as file:
                file.write(f"{json.dumps(line)}\n")
    judge(read(results))
    if runs:
        judge(of_runs(read(runs)))


if __name__ == "__main__":
    main()
