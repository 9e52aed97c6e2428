"""Learning curves, and the curve between the old and the new weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from speechxfer.evaluation.register import METRICS
from speechxfer.report.chart import Line, chart
from speechxfer.report.figures import known
from speechxfer.report.markup import Html, element, section
from speechxfer.report.run import FinishedRun
from speechxfer.runs import Epoch


def curves(run: FinishedRun) -> Html:
    """Losses and error rates by epoch, and between the old and the new weights."""
    best = run.metrics.get("best_epoch")
    marked = (float(best), f"best: {best}") if best else None
    losses = [Line(title, _points(run.history, name)) for name, title in (("loss", "training"), ("dev_loss", "dev"))]
    loss = chart("Loss", losses, "epoch", marked=marked)
    rates = [Line(title, _points(run.history, name)) for name, title in _dev_figures(run)]
    error = chart("Error", rates, "epoch", marked=marked)
    return section("Learning curves", element("div", loss, error, _interpolation(run), class_="row")) if loss else loss


def _dev_figures(run: FinishedRun) -> Iterator[tuple[str, str]]:
    """Error rates by their name in the history, and their title."""
    for name in ("error",) if run.is_classifier else ("wer", "cer"):
        for split in ("dev", "retain"):
            yield f"{split}_{name}", f"{_title(name)}, {split}"


def _interpolation(run: FinishedRun) -> Html:
    """Between the weights before (0) and after (1): how both sides fare."""
    name = "error" if run.is_classifier else "wer"
    shown = _title(name)
    points = run.interpolation.points if run.interpolation else ()
    lines = [
        Line(title, [(point.alpha, _error(scores, name)) for point in points if (scores := getattr(point, side))])
        for side, title in (("dev", f"{shown}, dev"), ("retain", f"{shown}, retain"))
    ]
    return chart("Between old and new weights", lines, "fraction of the new weights")


def _title(name: str) -> str:
    return METRICS[name].title if name in METRICS else name


def _error(scores: Mapping[str, Any], name: str) -> float:
    return 1.0 - known(scores)["accuracy"] if name == "error" else float(scores[name])


def _points(history: Sequence[Epoch], name: str) -> list[tuple[float, float]]:
    return [(float(line["epoch"]), float(line.get(name, math.nan))) for line in history]
