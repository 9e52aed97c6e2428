"""Where a learning curve will be: a power law through a few points, with its uncertainty.

Losses and errors fall about as a power of the number of steps (Hestness et al., 2017; for fine-tuning Hernandez et al.,
2021). With one or two points the exponent is hardly measured, so it has a prior: a linear regression of logarithms, in
closed form.
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
#: Standard deviation that a point has in addition, for each factor of e that it lies before the last one: curves are
#: no power law over a long way.
_BEFORE = 0.3
#: The error above which it falls faster.
_LARGE = 0.3
#: Standard deviation of a measured loss's logarithm, and of an error's beside what so many labels leave to chance.
_NOISE, _ERROR_NOISE = 0.05, 0.10
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
class LogForecast:
    """The logarithm of a figure: mean and standard deviation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Slope:
    """The prior of a curve's exponent: mean and standard deviation."""

    mean: float
    deviation: float
    #: What is added to the mean for each factor of e that the last figure is above 0.3.
    steeper: float = 0.0

    def after(self, figure: float) -> float:
        """The mean, where this is the last figure."""
        return self.mean + self.steeper * max(0.0, math.log(max(figure, _LARGE) / _LARGE))


#: Exponents of the error, which goes on falling where the loss of a model that is too sure of itself rises again: where
#: all layers are trained, where some are, and where the head alone is (`scripts.bench.forecasts`).
WHOLE_ERRORS, ERRORS, HEAD_ERRORS = (
    Slope(0.35, 0.16, steeper=0.3),
    Slope(0.25, 0.16, steeper=0.3),
    Slope(_HEAD, _HEAD_SD),
)


def slope_of(plan: TransferPlan) -> Slope:
    """What the curve of a plan's loss is like: what trains more of a model learns slower and ends better."""
    trained = sum(epoch is not None for epoch in plan.first_epochs[1:])
    if not trained:
        return Slope(_HEAD, _HEAD_SD)
    few, everything = _LAYERS
    return Slope(_ADAPTERS if plan.adapters else few + (everything - few) * trained / max(plan.depth, 1), _SD)


def error_slope_of(plan: TransferPlan) -> Slope:
    """What the curve of a plan's error is like."""
    trained = [epoch is not None for epoch in plan.first_epochs[1:]]
    if not any(trained):
        return HEAD_ERRORS
    return WHOLE_ERRORS if all(trained) and not plan.adapters else ERRORS


def final_loss(points: Sequence[Point], slope: Slope) -> LogForecast:
    """The loss on dev at the end of a whole run.

    Args:
        points: at least one, of finite losses.
        slope: the prior of the exponent.
    """
    found = _continued(points, [one.loss for one in points], [_NOISE] * len(points), slope)
    return LogForecast(found.mean, math.hypot(found.deviation, _NOISE))


def final_error(points: Sequence[Point], slope: Slope, num_labels: int) -> Forecast:
    """The error on dev at the end of a whole run.

    Args:
        points: at least one.
        slope: the prior of the exponent.
        num_labels: labels of dev, whose number says how well its error is known.
    """
    errors = [max(one.error, 0.5 / max(num_labels, 1)) for one in points]
    noise = [math.hypot(_ERROR_NOISE, _sampled(error, num_labels)) for error in errors]
    found = _continued(points, errors, noise, slope)
    value = min(math.exp(found.mean), 1.0)
    width = _Z80 * math.hypot(found.deviation, _ERROR_NOISE, _sampled(value, num_labels))
    return Forecast(value, value * math.exp(-width), min(value * math.exp(width), 1.0))


def _sampled(error: float, num_labels: int) -> float:
    """Standard deviation of the logarithm of an error that is measured on so many labels."""
    return min(math.sqrt((1.0 - min(error, 0.999)) / max(error * num_labels, 0.5)), 1.0)


def _continued(points: Sequence[Point], figures: Sequence[float], noise: Sequence[float], slope: Slope) -> LogForecast:
    """A power law through figures that are known with so much noise, at the end of a run."""
    x = np.array([math.log(max(one.fraction, 1e-4)) for one in points])
    y = np.array([math.log(max(one, 1e-6)) for one in figures])
    deviations = np.hypot(noise, _BEFORE * (x[-1] - x))
    design = np.stack([np.ones_like(x), -x], axis=1) / deviations[:, None]
    precision = design.T @ design + np.diag([0.0, 1.0 / slope.deviation**2])
    prior = np.array([0.0, slope.after(figures[-1]) / slope.deviation**2])
    mean = np.linalg.solve(precision, design.T @ (y / deviations) + prior)
    # At x = 0, where the fraction is 1.
    return LogForecast(float(mean[0]), math.sqrt(float(np.linalg.inv(precision)[0, 0])))
