"""Learning curves go on as they are known to, with an interval that says how well."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from speechxfer.planner.forecast import (
    ERRORS,
    HEAD_ERRORS,
    WHOLE_ERRORS,
    Point,
    Slope,
    error_slope_of,
    final_error,
    final_loss,
)


def points(*fractions: float, exponent: float = 0.4) -> list[Point]:
    """Of a run that ends at a loss of 0.5, and an error of a third of the loss."""
    losses = [0.5 * fraction**-exponent for fraction in fractions]
    return [Point(fraction, 1, 1.0, loss / 3, loss) for fraction, loss in zip(fractions, losses, strict=True)]


def test_a_power_law_is_continued() -> None:
    found = final_loss(points(0.05), Slope(0.4, 0.1))
    assert math.exp(found.mean) == pytest.approx(0.5, rel=1e-6)
    error = final_error(points(0.05), Slope(0.4, 0.1), 10_000)
    assert error.value == pytest.approx(0.5 / 3)
    assert error.low < error.value < error.high


def test_points_outweigh_the_prior_and_make_it_certain() -> None:
    one, three = (final_loss(points(*some, exponent=0.7), Slope(0.4, 0.1)) for some in ((0.05,), (0.05, 0.2, 0.5)))
    truth = math.log(0.5)
    assert abs(three.mean - truth) < 0.3 * abs(one.mean - truth)
    assert three.deviation < one.deviation
    # The nearer the end, the more certain.
    assert final_loss(points(0.5), Slope(0.4, 0.1)).deviation < one.deviation


def test_a_small_dev_set_makes_the_interval_wide() -> None:
    few, many = (final_error(points(0.3), Slope(0.4, 0.1), count) for count in (30, 30_000))
    assert few.high - few.low > many.high - many.low
    assert few.high <= 1.0
    # Without one error so far, some are expected nevertheless.
    perfect = [Point(0.3, 10, 1.0, 0.0, 0.1)]
    assert 0.0 < final_error(perfect, Slope(0.4, 0.1), 30).value < 0.2


def test_an_error_goes_on_falling_where_the_loss_rises() -> None:
    sure = [Point(0.1, 10, 1.0, 0.25, 1.4), Point(0.3, 30, 3.0, 0.19, 2.8)]
    assert final_error(sure, Slope(0.25, 0.1), 1_000).value < 0.19


@pytest.mark.parametrize(
    ("first_epochs", "adapters", "slope"),
    [
        ((0, None, None), (), HEAD_ERRORS),
        ((0, None, 1), (), ERRORS),
        ((0, 1, 1), (), WHOLE_ERRORS),
        ((None, 1, 1), (), WHOLE_ERRORS),  # frozen convolutions are usual
        ((0, 1, 1), ("lora",), ERRORS),
    ],
)
def test_what_is_trained_decides_how_fast_errors_fall(first_epochs: Any, adapters: Any, slope: Slope) -> None:
    plan: Any = SimpleNamespace(first_epochs=first_epochs, adapters=adapters)
    assert error_slope_of(plan) == slope
