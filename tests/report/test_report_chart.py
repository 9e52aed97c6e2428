"""Line charts: round numbers at the axes, and points where they belong."""

from __future__ import annotations

import re

import pytest

from speechxfer.report.chart import Line, chart


def texts(drawing: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing)


def places(drawing: str) -> list[list[tuple[float, float]]]:
    found = []
    for points in re.findall(r'<polyline points="([^"]*)"', drawing):
        found.append([(float(x), float(y)) for x, y in (point.split(",") for point in points.split())])
    return found


@pytest.mark.parametrize(
    ("highest", "wanted"),
    [
        (1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.37, ["0", "0.1", "0.2", "0.3", "0.4"]),
        (37.0, ["0", "10", "20", "30", "40"]),
        (0.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_vertical_axis_begins_at_nothing_and_ends_above_everything(highest: float, wanted: list[str]) -> None:
    drawn = chart("x", [Line("x", [(1.0, highest), (2.0, highest / 2)])], "epoch")
    assert texts(drawn)[: len(wanted)] == wanted
    assert all(20 <= y <= 184 for _, y in places(drawn)[0])


@pytest.mark.parametrize("count", [1, 2, 7, 22, 100, 1000])
def test_epochs_are_whole_numbers_and_few(count: int) -> None:
    drawn = chart("x", [Line("x", [(float(epoch), 1.0) for epoch in range(1, count + 1)])], "epoch")
    shown = texts(drawn)[6:-1]
    assert all(float(one).is_integer() for one in shown)
    assert len(shown) <= 12
    assert len(set(shown)) == len(shown)


def test_lower_is_lower_and_later_is_further() -> None:
    (first, second), (other, _) = places(
        chart("x", [Line("a", [(1, 0.5), (2, 0.1)]), Line("b", [(1, 0.2), (2, 0.2)])], "epoch")
    )
    assert first[0] == other[0] < second[0]
    assert first[1] < other[1] < second[1], "y grows downwards"


def test_what_is_no_number_is_left_out() -> None:
    drawn = chart("x", [Line("a", [(1, float("nan")), (2, 3.0), (3, float("inf"))]), Line("b", [])], "epoch")
    assert [len(line) for line in places(drawn)] == [1]
    assert chart("x", [Line("a", [(1, float("nan"))])], "epoch") == ""


def test_names_are_text() -> None:
    assert "<b>" not in chart("<b>", [Line("<b>", [(1, 1.0)]), Line("<b>", [(1, 1.0)])], "<b>", marked=(1.0, "<b>")).replace("<b>&lt;b&gt;</b>", "")  # fmt: skip  # noqa: E501
