"""Values of JSON as declared types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import pytest

from speechxfer.records import converted


@dataclass(frozen=True)
class Point:
    x: float
    name: str = ""
    near: tuple[int, ...] = ()
    of: Mapping[str, Any] = field(default_factory=dict)


class Figures(TypedDict, total=False):
    count: int


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        (float, 1, 1.0),
        (int | None, None, None),
        (list[str], ["a"], ["a"]),
        (Sequence[float], [1], [1.0]),
        (tuple[str, int], ["a", 1], ("a", 1)),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (Point, {"x": 1, "near": [1], "of": {"a": None}, "unknown": 1}, Point(1.0, near=(1,), of={"a": None})),
        (list[Point], [{"x": 0.5}], [Point(0.5)]),
        (Figures, {"count": 1, "other": "a"}, {"count": 1, "other": "a"}),
    ],
)
def test_what_fits_is_converted(kind, value, wanted):
    found = converted(kind, value)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (float, "1", "it is '1'; wanted a number"),
        (float, True, "it is True; wanted a number"),
        (float, 10**400, "wanted a number"),
        (int, 1.0, "it is 1.0; wanted a whole number"),
        (bool, 1, "wanted true or false"),
        (int | None, "a", "wanted a whole number"),
        (list[int], [1, "a"], r"\[1\] is 'a'; wanted a whole number"),
        (tuple[str, int], ["a"], "wanted a list of 2"),
        (Point, {"x": 1, "near": [None]}, r"near\[0\] is None; wanted a whole number"),
        (Point, {}, "lacks x"),
        (dict[str, Point], {"a": {"x": "b"}}, "a.x is 'b'; wanted a number"),
        (Figures, {"count": "a"}, "count is 'a'; wanted a whole number"),
        (Point, [], "wanted an object"),
    ],
)
def test_what_does_not_fit_is_named(kind, value, message):
    with pytest.raises(ValueError, match=message):
        converted(kind, value)
