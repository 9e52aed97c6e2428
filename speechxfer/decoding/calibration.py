"""Calibrated confidences: of words with a confidence of 0.8, eight in ten should be right."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from speechxfer.decoding.hypothesis import Hypothesis

#: Confidences are never quite 0 or 1, so that their log-odds are numbers.
CERTAIN = 1e-6


@dataclass(frozen=True)
class Calibration:
    """What log-odds of confidences are multiplied by, and what is added to them (Platt, 2000).

    With an offset of 0, the slope is one over a temperature.
    """

    slope: float
    offset: float = 0.0

    def confidence(self, value: float) -> float:
        """A confidence in [0, 1] as it should be."""
        return 1.0 / (1.0 + math.exp(-(self.slope * log_odds(value) + self.offset)))

    def then(self, other: Calibration) -> Calibration:
        """Both, one after the other."""
        return Calibration(self.slope * other.slope, self.offset * other.slope + other.offset)

    def calibrated(self, hypothesis: Hypothesis) -> Hypothesis:
        """With the confidences of its words, and its own."""
        words = tuple(
            word if word.confidence is None else replace(word, confidence=self.confidence(word.confidence))
            for word in hypothesis.words
        )
        own = hypothesis.confidence
        return replace(hypothesis, words=words, confidence=None if own is None else self.confidence(own))


def log_odds(value: float) -> float:
    """Of a probability, which counts as at least a millionth and at most all but a millionth."""
    bounded = min(max(value, CERTAIN), 1.0 - CERTAIN)
    return math.log(bounded / (1.0 - bounded))
