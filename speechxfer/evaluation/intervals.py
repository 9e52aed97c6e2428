"""Bootstrap confidence intervals of the figures of a test set.

Utterances (or speakers, if enough are known) are resampled with replacement, and the figure is computed for each
(Bisani & Ney, 2004, Bootstrap estimates for confidence intervals in ASR performance evaluation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from speechxfer.data.manifest import Utterance

#: Confidence level, number of resamples, and seed.
LEVEL, RESAMPLES, SEED = 0.95, 2000, 0
#: Fewer units have too few different resamples.
LEAST_UNITS = 5
#: Coverage is 90 to 93 % with fewer speakers, if they differ much (scripts/bench/intervals.py).
_ENOUGH_SPEAKERS = 15
_THESE_SPEAKERS = "so it does not apply to other speakers"
#: Random numbers drawn at once, which bounds the memory.
_AT_ONCE = 1 << 20

Values = NDArray[np.float64]
#: A number for each utterance.
Column: TypeAlias = Sequence[float] | NDArray[Any]


@dataclass(frozen=True)
class Units:
    """What is resampled: utterances, or speakers with all of their utterances."""

    name: str
    count: int
    #: The unit of each utterance: int64 [num_utterances].
    of: NDArray[np.int64]
    #: A caveat about intervals over these units.
    note: str = ""

    def sums(self, values: Column) -> Values:
        """Sum of the utterances' values in each unit: float64 [count]."""
        weights = np.asarray(values, dtype=np.float64)
        return np.bincount(self.of, weights=weights, minlength=self.count).astype(np.float64)


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of figures of one test set, or the reason why there are none."""

    method: str
    #: "utterance" or "speaker", and their number.
    unit: str
    count: int
    level: float
    resamples: int
    seed: int
    #: Name of a figure -> lower and upper bound.
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    #: Why there is no interval, or a caveat.
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "bounds": {name: list(ends) for name, ends in self.bounds.items()}}

    def show(self, name: str, value: float) -> str:
        """A figure with its interval, if it has one: "0.143 [0.121, 0.166]"."""
        if name not in self.bounds:
            return f"{value:.3f}"
        low, high = self.bounds[name]
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"

    def __str__(self) -> str:
        if not self.bounds:
            return f"no interval: {self.note}"
        note = f"; {self.note}" if self.note else ""
        return f"{self.level:.0%} intervals: {self.method} over {self.count} {self.unit}s{note}"


def units(speakers: Sequence[str | None]) -> Units:
    """The units to resample: speakers if every utterance has one and there are at least five, otherwise utterances.

    Errors on one speaker are correlated, so intervals over utterances would be too narrow for other speakers.
    """
    known = [speaker for speaker in speakers if speaker is not None]
    names = {name: number for number, name in enumerate(dict.fromkeys(known))}
    if len(known) == len(speakers) and len(names) >= LEAST_UNITS:
        few = "with so few speakers its coverage may be only 90 %" if len(names) < _ENOUGH_SPEAKERS else ""  # fmt: skip
        return Units("speaker", len(names), np.array([names[name] for name in known], dtype=np.int64), few)
    note = f"only {_counted(len(names), 'speaker')}, {_THESE_SPEAKERS}" if names else ""
    if len(known) < len(speakers) and known:
        note = f"{len(speakers) - len(known)} of {len(speakers)} utterances have no speaker, so it treats utterances as independent"  # fmt: skip  # noqa: E501
    return Units("utterance", len(speakers), np.arange(len(speakers)), note)


def units_of(utterances: Sequence[Utterance], of_classes: bool) -> Units:
    """The units to resample, as by `units`; but utterances if every speaker is a class.

    In speaker identification the speakers are not a sample of others, and resampling them would resample the classes.
    """
    speakers = [utterance.speaker for utterance in utterances]
    if of_classes and None not in speakers:
        classes = {utterance.label for utterance in utterances}
        pairs = {(utterance.speaker, utterance.label) for utterance in utterances}
        if len(pairs) == len(classes) == len(set(speakers)):
            note = f"each speaker is a class of its own, {_THESE_SPEAKERS}"
            return Units("utterance", len(utterances), np.arange(len(utterances)), note)
    return units(speakers)


def ratio_intervals(figures: Mapping[str, tuple[Column, Column]], drawn: Units) -> Intervals:
    """Intervals of ratios of sums, such as errors over words.

    Args:
        figures: name -> numerator and denominator of each utterance.
        drawn: the units to resample.
    """
    names = list(figures)
    sums = np.stack([drawn.sums(values) for name in names for values in figures[name]], axis=1)
    varying = [name for row, name in enumerate(names) if _varies(sums[:, 2 * row], sums[:, 2 * row + 1])]
    if drawn.count < LEAST_UNITS or not varying:
        return _none(_too_few(drawn) if drawn.count < LEAST_UNITS else _all_equal(names, drawn), drawn)
    totals = resampled(sums)
    bounds = {name: percentiles(_ratios(totals, names.index(name)), drawn.count) for name in varying}
    return Intervals("percentile bootstrap", drawn.name, drawn.count, LEVEL, RESAMPLES, SEED, bounds, drawn.note)


def proportion_interval(name: str, right: Sequence[bool], drawn: Units) -> Intervals:
    """The interval of a proportion of utterances; over utterances Wilson's (1927), which also holds for 0 and 1."""
    if drawn.name != "utterance":
        return ratio_intervals({name: ([float(one) for one in right], [1.0] * len(right))}, drawn)
    if drawn.count < LEAST_UNITS:
        return _none(_too_few(drawn), drawn)
    bounds = {name: wilson(sum(right), len(right))}
    return Intervals("Wilson's score", drawn.name, drawn.count, LEVEL, 0, SEED, bounds, drawn.note)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion, at `LEVEL`."""
    z = float(ndtri(0.5 + LEVEL / 2))
    proportion, weight = hits / trials, z * z / trials
    center, half = (
        proportion + weight / 2,
        z * math.sqrt(proportion * (1 - proportion) / trials + weight / (4 * trials)),
    )
    # Rounding would miss 0 and 1 by a tiny amount.
    low, high = (center - half) / (1 + weight), (center + half) / (1 + weight)
    return (0.0 if hits == 0 else low), (1.0 if hits == trials else high)


def resampled(sums: Values, *, resamples: int = RESAMPLES, seed: int = SEED) -> Values:
    """Totals over units resampled with replacement: [num_units, k] -> [resamples, k]."""
    generator = np.random.default_rng(seed)
    count, at_once = len(sums), max(1, _AT_ONCE // len(sums))
    totals = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, at_once):
        chosen = generator.integers(count, size=(min(at_once, resamples - start), count))
        for column in range(sums.shape[1]):
            totals[start : start + len(chosen), column] = sums[chosen, column].sum(axis=1)
    return totals


def percentiles(samples: Values, count: int, level: float = LEVEL) -> tuple[float, float]:
    """The confidence interval from a figure's resamples over `count` units.

    Plain percentiles are too narrow for few units. They are widened by sqrt(n / (n - 1)) and Student's t for the normal
    distribution (Hesterberg, 2015, What Teachers Should Know About the Bootstrap, section 4.3.2).
    """
    tail = float(ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)))
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def p_value(samples: Values, count: int) -> float:
    """The two-sided p-value: one minus the level at which the interval of `percentiles` begins to contain 0.

    A tail without resamples counts as half a resample.
    """
    below = float(np.mean(samples < 0) + np.mean(samples == 0) / 2)
    tail = max(min(below, 1 - below), 0.5 / len(samples))
    return min(1.0, 2 * float(stdtr(count - 1, ndtri(tail) / math.sqrt(count / (count - 1)))))


def _ratios(totals: Values, row: int) -> Values:
    """One figure of each resample, except resamples whose denominator is 0 (empty references only)."""
    above, below = totals[:, 2 * row], totals[:, 2 * row + 1]
    return above[below > 0] / below[below > 0]


def _varies(above: Values, below: Values) -> bool:
    """Whether the ratio differs between units; otherwise resampling shows no spread."""
    return bool(np.any(above * below.sum() != below * above.sum()))


def _none(note: str, drawn: Units) -> Intervals:
    return Intervals("none", drawn.name, drawn.count, LEVEL, 0, SEED, {}, note)


def _too_few(drawn: Units) -> str:
    seen = f"{_counted(drawn.count, drawn.name)} {'is' if drawn.count == 1 else 'are'}"
    return f"{seen} too few to resample; wanted at least {LEAST_UNITS}"


def _all_equal(names: Sequence[str], drawn: Units) -> str:
    return f"all {drawn.count} {drawn.name}s have the same {' and '.join(names)}, so resampling shows no spread"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
