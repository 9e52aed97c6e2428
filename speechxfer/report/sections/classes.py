"""How well each class is recognized, and with which others it is confused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from speechxfer.report.markup import Html, element, join, section, table
from speechxfer.report.run import FinishedRun

#: Beyond so many classes a matrix is no table that anybody reads.
_MOST_CLASSES = 30
_PAIRS = 12


def classes(run: FinishedRun) -> Html:
    """Figures of each class, the confusion matrix and the most frequent confusions."""
    after = run.metrics.get("after", {})
    found: Sequence[Mapping[str, Any]] = after.get("classes", [])
    if not found:
        return Html()
    rows = [
        (one["label"], *(f"{one[name]:.3f}" for name in ("precision", "recall", "f1")), str(one["support"]))
        for one in found
    ]
    figures = table(("class", "precision", "recall", "F1", "utterances"), rows, numbers=range(1, 5))
    labels, counts = [one["label"] for one in found], after["confusion"]
    if not counts:
        return section("Classes", figures)
    matrix = _matrix(labels, counts) if len(labels) <= _MOST_CLASSES else None
    return join([section("Classes", figures), section("Confusions", matrix, _most_frequent(labels, counts))])


def _matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Html:
    """Rows are true classes, columns predicted ones; the larger the fraction of its row, the stronger the color."""
    corner = element("th", "true ↓ predicted →", scope="col")
    head = element("tr", corner, *(element("th", element("span", label), scope="col") for label in labels))
    body = [
        element("tr", element("th", label, scope="row"), *_cells(row, number))
        for number, (label, row) in enumerate(zip(labels, counts, strict=True))
    ]
    whole = element("table", element("thead", head), element("tbody", *body), class_="matrix")
    return element("div", whole, class_="scroll", tabindex="0")


def _cells(row: Sequence[int], number: int) -> Iterator[Html]:
    for place, count in enumerate(row):
        # By the square root, or 1 % would look like none.
        style = f"--fraction: {(count / sum(row)) ** 0.5:.2f}" if count else None
        kind = ("right" if place == number else "wrong") if count else None
        yield element("td", str(count) if count else None, class_=kind, style=style)


def _most_frequent(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Html | None:
    found = [
        (count, true, predicted)
        for true, row in zip(labels, counts, strict=True)
        for predicted, count in zip(labels, row, strict=True)
        if count and true != predicted
    ]
    rows = [(str(count), *pair) for count, *pair in sorted(found, key=lambda one: -one[0])[:_PAIRS]]
    return table(("times", "true", "predicted"), rows, numbers=[0]) if rows else None
