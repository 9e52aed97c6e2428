"""Line charts as SVG that takes its colors from the page, so that it is at home in the light and in the dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from speechxfer.report.markup import Html, element, join

#: Of the drawing, in its own units; on a phone one of them is a pixel.
_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 20, 36
#: Numbers at an axis, at most.
_TICKS = 6
#: Beyond so many, points run together and only the line is drawn.
_MOST_POINTS = 40


@dataclass(frozen=True)
class Line:
    """A named line through points (x, y); those that are no numbers are left out."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [point for point in self.points if all(map(math.isfinite, point))]


def chart(title: str, lines: Sequence[Line], x_title: str, *, marked: tuple[float, str] | None = None) -> Html:
    """A drawing with a title and a legend; nothing where there is no point. The vertical axis begins at 0.

    Args:
        marked: where a vertical line stands, and its label.
    """
    shown = [line for line in lines if line.finite]
    if not shown:
        return Html()
    across = [x for line in shown for x, _ in line.finite]
    x_ticks = _ticks(min(across), max(across), whole=all(float(x).is_integer() for x in across))
    y_ticks = _ticks(0.0, max(y for line in shown for _, y in line.finite) or 1.0)
    axes = _Axes((min(across), max(across)), y_ticks[-1])
    drawn = [
        *(axes.horizontal(value) for value in y_ticks),
        *(axes.vertical(value) for value in x_ticks),
        axes.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 2, x_title, "middle"),
        axes.mark(*marked) if marked else None,
        *(axes.line(line, number) for number, line in enumerate(shown)),
    ]
    label = f"{title}: {'; '.join(_in_words(line, x_title) for line in shown)}"
    svg = element("svg", *drawn, viewbox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label)
    legend = [_legend(line.name, number) for number, line in enumerate(shown)]
    return element("figure", element("figcaption", element("b", title), *legend), svg, class_="chart")


class _Axes:
    """From numbers to places in the drawing."""

    def __init__(self, across: tuple[float, float], top: float) -> None:
        low, high = across
        # A single point stands in the middle.
        self._low, self._high = (low - 0.5, high + 0.5) if low == high else across
        self._top = top

    def x(self, value: float) -> float:
        fraction = (value - self._low) / (self._high - self._low)
        return round(_LEFT + fraction * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - value / self._top * (_HEIGHT - _TOP - _BOTTOM), 1)

    def horizontal(self, value: float) -> Html:
        y = self.y(value)
        rule = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        return join([rule, self.text(_LEFT - 6, y + 4, f"{value:g}", "end")])

    def vertical(self, value: float) -> Html:
        return self.text(self.x(value), _HEIGHT - _BOTTOM + 15, f"{value:g}", "middle")

    def mark(self, value: float, label: str) -> Html:
        x = self.x(value)
        rule = element("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="mark")
        anchor = "end" if x > _WIDTH / 2 else "start"
        return join([rule, self.text(x, _TOP - 6, label, anchor)])

    def line(self, line: Line, number: int) -> Html:
        places = [(self.x(x), self.y(y), x, y) for x, y in line.finite]
        path = element("polyline", points=" ".join(f"{x},{y}" for x, y, *_ in places), class_=f"line c{number}")
        few = places if len(places) <= _MOST_POINTS else []
        dots = (
            element("circle", element("title", f"{name:g}: {value:.4g}"), cx=x, cy=y, r=2.5, class_=f"dot c{number}")
            for x, y, name, value in few
        )
        return join([path, *dots])

    def text(self, x: float, y: float, label: str, anchor: str) -> Html:
        return element("text", label, x=x, y=y, text_anchor=anchor)


def _legend(name: str, number: int) -> Html:
    sample = element("line", x1=0, x2=22, y1=5, y2=5, class_=f"line c{number}")
    return element("span", element("svg", sample, viewbox="0 0 22 10", class_="sample", aria_hidden="true"), name)


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round numbers from at or below `low` (only 0) to at or above `high`; within both where they are `whole`."""
    if whole and high - low < 1:
        return [low]
    rough = (high - low) / (_TICKS - 1) or 1.0 / (_TICKS - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * (1 - 1e-9))
    if not whole:
        return [number * step for number in range(math.floor(low / step), math.ceil(high / step - 1e-9) + 1)]
    step = max(1.0, step)
    return [float(value) for value in range(math.ceil(low), math.floor(high) + 1) if value % step == 0 or value == low]


def _in_words(line: Line, x_title: str) -> str:
    points = line.finite
    x, least = min(points, key=lambda point: point[1])
    return f"{line.name} from {points[0][1]:.3g} to {points[-1][1]:.3g}, lowest {least:.3g} at {x_title} {x:g}"
