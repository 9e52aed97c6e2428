"""How far a figure of a test set may lie from that of the speech it was drawn from: bootstrap confidence intervals.

Utterances (or speakers, where enough are known) are drawn with replacement and the figure is computed anew
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

#: How often the true value lies within, how many times is drawn, and from which seed.
LEVEL, RESAMPLES, SEED = 0.95, 2000, 0
#: Of fewer there are too few different draws to tell anything.
LEAST_UNITS = 5
#: Of fewer speakers, if they differ much, intervals hold the truth 90 to 93 times in 100 (scripts/bench/intervals.py).
_ENOUGH_SPEAKERS = 15
_OF_THESE = "so it says nothing of other speakers"
#: Numbers drawn at a time: what bounds the memory.
_AT_ONCE = 1 << 20

Values = NDArray[np.float64]
#: A number for each utterance.
Column: TypeAlias = Sequence[float] | NDArray[Any]


@dataclass(frozen=True)
class Units:
    """What is drawn with replacement: utterances, or speakers with all of theirs."""

    name: str
    count: int
    #: Of each utterance, the unit that it belongs to: int64 [num_utterances].
    of: NDArray[np.int64]
    #: What an interval over these units does not say.
    note: str = ""

    def sums(self, values: Column) -> Values:
        """Sums of the utterances' values over each unit: float64 [count]."""
        weights = np.asarray(values, dtype=np.float64)
        return np.bincount(self.of, weights=weights, minlength=self.count).astype(np.float64)


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of some figures of one test set, or why there are none."""

    method: str
    #: "utterance" or "speaker", and how many of them there are.
    unit: str
    count: int
    level: float
    resamples: int
    seed: int
    #: Lower and upper end by the figure's name.
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    #: Why a figure has no interval, or what it does not say.
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "bounds": {name: list(ends) for name, ends in self.bounds.items()}}

    def show(self, name: str, value: float) -> str:
        """A figure with its interval where it has one: "0.143 [0.121, 0.166]"."""
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
    """What to draw from utterances of these speakers.

    Speakers where every utterance has one and there are at least five: a system's errors on one speaker resemble each
    other, so utterances say less about the next speaker than their number suggests.
    """
    known = [speaker for speaker in speakers if speaker is not None]
    names = {name: number for number, name in enumerate(dict.fromkeys(known))}
    if len(known) == len(speakers) and len(names) >= LEAST_UNITS:
        few = "of so few speakers it may hold the truth only 90 times in 100" if len(names) < _ENOUGH_SPEAKERS else ""  # fmt: skip  # noqa: E501
        return Units("speaker", len(names), np.array([names[name] for name in known], dtype=np.int64), few)
    note = f"only {_counted(len(names), 'speaker')}, {_OF_THESE}" if names else ""
    if len(known) < len(speakers) and known:
        note = f"{len(speakers) - len(known)} of {len(speakers)} utterances have no speaker, so it takes them as independent"  # fmt: skip  # noqa: E501
    return Units("utterance", len(speakers), np.arange(len(speakers)), note)


def units_of(utterances: Sequence[Utterance], of_classes: bool) -> Units:
    """What to draw from these utterances, for figures of classes or of transcripts: speakers, as `units` has it.

    But utterances where every speaker is a class: who speaks is asked of these speakers only, so they are no sample of
    others, and drawing them would draw classes.
    """
    speakers = [utterance.speaker for utterance in utterances]
    if of_classes and None not in speakers:
        classes = {utterance.label for utterance in utterances}
        pairs = {(utterance.speaker, utterance.label) for utterance in utterances}
        if len(pairs) == len(classes) == len(set(speakers)):
            note = f"each speaker is a class of its own, {_OF_THESE}"
            return Units("utterance", len(utterances), np.arange(len(utterances)), note)
    return units(speakers)


def ratio_intervals(figures: Mapping[str, tuple[Column, Column]], drawn: Units) -> Intervals:
    """Intervals of figures that are sums over sums, such as errors over words.

    Args:
        figures: by name, what every utterance adds above and below the line.
        drawn: the units that are drawn with replacement.
    """
    names = list(figures)
    sums = np.stack([drawn.sums(values) for name in names for values in figures[name]], axis=1)
    varying = [name for row, name in enumerate(names) if _varies(sums[:, 2 * row], sums[:, 2 * row + 1])]
    if drawn.count < LEAST_UNITS or not varying:
        return _none(_too_few(drawn) if drawn.count < LEAST_UNITS else _all_equal(names, drawn), drawn)
    totals = resampled(sums)
    bounds = {name: percentiles(_ratios(totals, names.index(name)), drawn.count) for name in varying}
    return Intervals("percentile bootstrap", drawn.name, drawn.count, LEVEL, RESAMPLES, SEED, bounds, drawn.note)


def share_interval(name: str, right: Sequence[bool], drawn: Units) -> Intervals:
    """The interval of a share of utterances; over utterances that of Wilson, 1927, which holds for 0 and 1 too."""
    if drawn.name != "utterance":
        return ratio_intervals({name: ([float(one) for one in right], [1.0] * len(right))}, drawn)
    if drawn.count < LEAST_UNITS:
        return _none(_too_few(drawn), drawn)
    bounds = {name: wilson(sum(right), len(right))}
    return Intervals("Wilson's score", drawn.name, drawn.count, LEVEL, 0, SEED, bounds, drawn.note)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a share, at `LEVEL`."""
    z = float(ndtri(0.5 + LEVEL / 2))
    share, weight = hits / trials, z * z / trials
    centre, half = share + weight / 2, z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    # At the ends rounding would leave them by a hair.
    low, high = (centre - half) / (1 + weight), (centre + half) / (1 + weight)
    return (0.0 if hits == 0 else low), (1.0 if hits == trials else high)


def resampled(sums: Values, *, resamples: int = RESAMPLES, seed: int = SEED) -> Values:
    """Totals of as many units as there are, drawn with replacement: [num_units, k] -> [resamples, k]."""
    generator = np.random.default_rng(seed)
    count, at_once = len(sums), max(1, _AT_ONCE // len(sums))
    totals = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, at_once):
        chosen = generator.integers(count, size=(min(at_once, resamples - start), count))
        for column in range(sums.shape[1]):
            totals[start : start + len(chosen), column] = sums[chosen, column].sum(axis=1)
    return totals


def percentiles(samples: Values, count: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval that a figure's resamples over `count` units give.

    Plain percentiles are too narrow where units are few: they take the spread within the sample for that of the
    population and forget that it is estimated. They are widened by sqrt(n / (n - 1)) and Student's t for the normal
    distribution (Hesterberg, 2015, What Teachers Should Know About the Bootstrap, section 4.3.2).
    """
    tail = float(ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)))
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def p_value(samples: Values, count: int) -> float:
    """Two-sided: at which level the interval of `percentiles` would begin to hold 0.

    What no resample shows counts as half a one.
    """
    below = float(np.mean(samples < 0) + np.mean(samples == 0) / 2)
    tail = max(min(below, 1 - below), 0.5 / len(samples))
    return min(1.0, 2 * float(stdtr(count - 1, ndtri(tail) / math.sqrt(count / (count - 1)))))


def _ratios(totals: Values, row: int) -> Values:
    """One figure in each draw that has anything below the line: of nothing but silence, none."""
    above, below = totals[:, 2 * row], totals[:, 2 * row + 1]
    return above[below > 0] / below[below > 0]


def _varies(above: Values, below: Values) -> bool:
    """Whether the ratio differs between units, without which resampling shows nothing."""
    return bool(np.any(above * below.sum() != below * above.sum()))


def _none(note: str, drawn: Units) -> Intervals:
    return Intervals("none", drawn.name, drawn.count, LEVEL, 0, SEED, {}, note)


def _too_few(drawn: Units) -> str:
    seen = f"{_counted(drawn.count, drawn.name)} {'is' if drawn.count == 1 else 'are'}"
    return f"{seen} too few to draw from; wanted at least {LEAST_UNITS}"


def _all_equal(names: Sequence[str], drawn: Units) -> str:
    return f"all {drawn.count} {drawn.name}s have the same {' and '.join(names)}, so drawing from them shows no spread"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
