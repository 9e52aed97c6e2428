"""Whether two systems differ on the same utterances by more than chance."""

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

#: Where fewer utterances differ, all of them may have become better by chance more often than once in twenty times:
#: 2 / 2^5 is more than 0.05, 2 / 2^6 is less. Bootstrap and matched pairs both need more than a handful to see that.
LEAST_DIFFERING = 6


@dataclass(frozen=True)
class PairedBootstrap:
    """The difference of two error rates, second minus first, over draws of the same units for both.

    Bisani & Ney, 2004, section 4. The p-value is the level at which the interval begins to hold 0.
    """

    difference: float
    low: float
    high: float
    p: float
    #: In how many of the draws the second has fewer errors; half of those with as many count.
    improvement: float
    #: Utterances in which one has more errors than the other.
    differing: int
    unit: str
    count: int
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = SEED

    @property
    def significant(self) -> bool:
        """Whether a difference is shown: the interval leaves out 0, and not for a handful of utterances only."""
        return self.differing >= LEAST_DIFFERING and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class MatchedPairs:
    """The matched-pairs sentence-segment word error test: errors of the second minus those of the first, per segment.

    Gillick & Cox, 1989, Some statistical issues in the comparison of speech recognition algorithms. Segments are
    utterances, taken as independent. They compare with the normal distribution; here it is Student's, which becomes
    the normal one as segments grow and does not raise false alarms where there are few.
    """

    segments: int
    mean: float
    #: The mean over its standard error.
    statistic: float
    p: float


def paired_bootstrap(first: Column, second: Column, lengths: Column, drawn: Units) -> PairedBootstrap | None:
    """The difference of two rates of the same utterances; None for fewer than five units.

    Args:
        first, second: errors in each utterance.
        lengths: words of each reference.
        drawn: the units that are drawn with replacement.
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
    """Whether the mean difference of errors per utterance is other than 0; None for fewer than five utterances."""
    gain = np.subtract(second, first, dtype=np.float64)
    if len(gain) < LEAST_UNITS:
        return None
    mean, spread = float(gain.mean()), float(gain.std(ddof=1))
    if spread == 0:  # the same everywhere: no difference at all, or nothing to measure it by
        return MatchedPairs(len(gain), mean, 0.0, 1.0) if mean == 0 else None
    statistic = mean / (spread / math.sqrt(len(gain)))
    return MatchedPairs(len(gain), mean, statistic, 2 * float(stdtr(len(gain) - 1, -abs(statistic))))
