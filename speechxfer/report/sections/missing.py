"""What the page cannot show, and why."""

from __future__ import annotations

from speechxfer.report.markup import Html, element, section
from speechxfer.report.run import FinishedRun


def missing(run: FinishedRun) -> Html:
    """A list of notes."""
    return section("What is not shown", element("ul", *(element("li", note) for note in run.notes)) if run.notes else None)  # fmt: skip  # noqa: E501
