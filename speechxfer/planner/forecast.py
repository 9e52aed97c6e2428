"""Where a learning curve will be: a power law through a few points, with its uncertainty.

Losses fall about as a power of the number of steps (Hestness et al., 2017; for fine-tuning Hernandez et al., 2021).
With one or two points the exponent is hardly measured, so it has a prior: a linear regression of logarithms, in closed
form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechxfer.transfer.plan import TransferPlan

#: Exponents of the loss on dev over the fraction of a whole run: where the head alone is trained, which soon learns no
#: more; adapters; the fewest layers and all layers. And their standard deviation, for the head alone and for others.
_HEAD, _ADAPTERS, _LAYERS = 0.06, 0.3, (0.40, 0.48)
_HEAD_SD, _SD = 0.03, 0.12
#: Standard deviation of a measured loss's logarithm, and of an error's for the same loss.
_NOISE, _ERROR_NOISE = 0.05, 0.10
#: Errors that a dev set has to hold for its error to be that of others: with fewer, the interval is wider.
_Z80 = 1.2816


@dataclass(frozen=True)
class Point:
    """A candidate measured on dev; one that went astray has infinite figures."""

    #: How much of a whole run that was, in steps of a run of so many epochs, or in seconds of one of a given time.
    fraction: float
    steps: int
    #: Seconds of training so far.
    seconds: float
    #: The character error rate, or the fraction of utterances with a wrong class.
    error: float
    #: Mean loss per label.
    loss: float


@dataclass(frozen=True)
class Forecast:
    """An expected figure, and its interval of 80 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class LossForecast:
    """The logarithm of a loss: mean and standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Slope:
    """The prior of a curve's exponent: mean and standard deviation."""

    mean: float
    deviation: float


def slope_of(plan: TransferPlan) -> Slope:
    """What a plan's curve is like: what trains more of a model learns slower and ends better."""
    trained = sum(epoch is not None for epoch in plan.first_epochs[1:])
    if not trained:
        return Slope(_HEAD, _HEAD_SD)
    few, everything = _LAYERS
    return Slope(_ADAPTERS if plan.adapters else few + (everything - few) * trained / max(plan.depth, 1), _SD)


def final_loss(points: Sequence[Point], slope: Slope) -> LossForecast:
    """The loss on dev at the end of a whole run.

    Args:
        points: at least one, of finite losses.
        slope: the prior of the exponent.
    """
    x = np.array([math.log(max(one.fraction, 1e-4)) for one in points])
    y = np.array([math.log(max(one.loss, 1e-6)) for one in points])
    design = np.stack([np.ones_like(x), -x], axis=1) / _NOISE
    precision = design.T @ design + np.diag([0.0, 1.0 / slope.deviation**2])
    mean = np.linalg.solve(precision, design.T @ (y / _NOISE) + np.array([0.0, slope.mean / slope.deviation**2]))
    # At x = 0, where the fraction is 1.
    return LossForecast(float(mean[0]), math.sqrt(float(np.linalg.inv(precision)[0, 0]) + _NOISE**2))


def error_for(loss: LossForecast, points: Sequence[Point], num_labels: int) -> Forecast:
    """The error on dev that goes with a loss: about in proportion to it, as the last point shows.

    Args:
        loss: at the end.
        points: at least one, of finite losses.
        num_labels: labels of dev, whose number says how well its error is known.
    """
    last = points[-1]
    ratio = max(last.error, 0.5 / max(num_labels, 1)) / max(last.loss, 1e-6)
    value = min(math.exp(loss.mean) * ratio, 1.0)
    sampled = math.sqrt((1.0 - min(value, 0.999)) / max(value * num_labels, 0.5))
    width = _Z80 * math.hypot(loss.deviation, _ERROR_NOISE, min(sampled, 1.0))
    return Forecast(value, value * math.exp(-width), min(value * math.exp(width), 1.0))
