"""Significance tests of the difference of two systems on the same utterances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from speechxfer.evaluation.intervals import (
    LEAST_UNITS,
    LEVEL,
    RESAMPLES,
    SEED,
    Column,
    Units,
    p_value,
    percentiles,
    resampled,
)

#: With fewer differing utterances, a sign test cannot reach p < 0.05: 2 / 2^5 is more than 0.05, 2 / 2^6 is less.
#: Bootstrap and matched pairs are too optimistic there.
LEAST_DIFFERING = 6


@dataclass(frozen=True)
class PairedBootstrap:
    """The difference of two error rates, second minus first, over resamples of the same units for both.

    Bisani & Ney, 2004, section 4.
    """

    difference: float
    low: float
    high: float
    p: float
    #: Fraction of the resamples in which the second has fewer errors; ties count half.
    improvement: float
    #: Utterances whose error counts differ.
    differing: int
    unit: str
    count: int
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = SEED

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0 and at least `LEAST_DIFFERING` utterances differ."""
        return self.differing >= LEAST_DIFFERING and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class MatchedPairs:
    """The matched-pairs sentence-segment word error test: errors of the second minus those of the first, per segment.

    Gillick & Cox, 1989, Some statistical issues in the comparison of speech recognition algorithms. Segments are
    utterances, taken as independent. Student's distribution replaces their normal distribution, which gives too many
    false alarms for few segments.
    """

    segments: int
    mean: float
    #: The mean over its standard error.
    statistic: float
    p: float


def paired_bootstrap(first: Column, second: Column, lengths: Column, drawn: Units) -> PairedBootstrap | None:
    """The paired bootstrap of two rates of the same utterances; None for fewer than five units.

    Args:
        first, second: errors in each utterance.
        lengths: words of each reference.
        drawn: the units to resample.
    """
    if drawn.count < LEAST_UNITS:
        return None
    gain, length = np.subtract(second, first, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    difference = float(gain.sum() / length.sum())
    if not gain.any():
        return PairedBootstrap(0.0, 0.0, 0.0, 1.0, 0.5, 0, drawn.name, drawn.count)
    totals = resampled(np.stack([drawn.sums(gain), drawn.sums(length)], axis=1))
    totals = totals[totals[:, 1] > 0]
    samples = totals[:, 0] / totals[:, 1]
    low, high = percentiles(samples, drawn.count)
    improvement = float(np.mean(samples < 0) + np.mean(samples == 0) / 2)
    p, differing = p_value(samples, drawn.count), int(np.count_nonzero(gain))
    return PairedBootstrap(difference, low, high, p, improvement, differing, drawn.name, drawn.count)


def matched_pairs(first: Column, second: Column) -> MatchedPairs | None:
    """The matched-pairs test of two lists of error counts; None for fewer than five utterances."""
    gain = np.subtract(second, first, dtype=np.float64)
    if len(gain) < LEAST_UNITS:
        return None
    mean, spread = float(gain.mean()), float(gain.std(ddof=1))
    if spread == 0:  # constant: no difference at all, or no spread to compare it with
        return MatchedPairs(len(gain), mean, 0.0, 1.0) if mean == 0 else None
    statistic = mean / (spread / math.sqrt(len(gain)))
    return MatchedPairs(len(gain), mean, statistic, 2 * float(stdtr(len(gain) - 1, -abs(statistic))))
