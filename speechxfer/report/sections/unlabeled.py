"""What became of recordings without labels, and whether they helped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speechxfer.report.figures import clock, known, metrics
from speechxfer.report.markup import Html, element, section, table
from speechxfer.report.run import FinishedRun


def unlabeled(run: FinishedRun) -> Html:
    """How many predictions are used in training, why others are not, and both models on dev side by side."""
    found = run.metrics.get("self_training")
    if not found:
        return Html()
    counts = {"used in training": found["kept"], **{f"not used: {why}": n for why, n in found["left_out"].items()}}
    rows = [(what, f"{count:,}", f"{count / found['recordings']:.0%}") for what, count in counts.items()]
    amount = f"{clock(found['kept_seconds'])} of {clock(found['seconds'])} of readable audio are used."
    return section(
        "Recordings without labels",
        table(("", "recordings", ""), rows, numbers=(1, 2)),
        element("p", amount, class_="legend"),
        *_sides(run, found),
    )


def _sides(run: FinishedRun, found: Mapping[str, Any]) -> Iterator[Html]:
    """Teacher and student on dev."""
    models = {"labels alone": found["teacher"], "labels and predictions": found["student"]}
    if all(models.values()):
        shown = {name: metric.title for name, metric in metrics(run).items() if name in known(found["student"])}
        rows = [(title, *(f"{known(scores)[name]:.3f}" for name in shown)) for title, scores in models.items()]
        yield table(("trained on", *(f"{title}, dev" for title in shown.values())), rows, numbers=(1, 2))
