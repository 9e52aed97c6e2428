"""What was frozen, and what was trained at which rates."""

from __future__ import annotations

from speechxfer.report.markup import Html, element, section, table
from speechxfer.report.run import FinishedRun


def plan(run: FinishedRun) -> Html:
    """A table of the model's parts."""
    if run.plan is None:
        return Html()
    counts = f"{run.plan.trained:,} of {run.plan.total:,} parameters are trained."
    rows = table(run.plan.columns, run.plan.rows, numbers=range(2, len(run.plan.columns)))
    return section("Plan", element("p", counts), rows)
