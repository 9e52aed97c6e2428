"""Calibrated confidences: of words with a confidence of 0.8, eight in ten should be right."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from speechxfer.decoding.hypothesis import Hypothesis, Word

#: Confidences are never quite 0 or 1, so that their log-odds are numbers.
CERTAIN = 1e-6


@dataclass(frozen=True)
class Calibration:
    """From a word's confidence to its calibrated one, whose log-odds are a sum (Platt, 2000, with one more term).

    Attributes:
        slope: times the log-odds of the confidence.
        offset: is added.
        length_slope: times the log-probability that all characters of the word are right, which is their number times
            the logarithm of the confidence. Without it, long words get too much confidence.
    """

    slope: float
    offset: float = 0.0
    length_slope: float = 0.0

    def confidence(self, value: float, characters: int = 1) -> float:
        """The calibrated confidence of a word with so many characters; both confidences are in [0, 1]."""
        odds, whole = evidence(value, characters)
        return 1.0 / (1.0 + math.exp(-(self.slope * odds + self.length_slope * whole + self.offset)))

    def calibrated(self, hypothesis: Hypothesis) -> Hypothesis:
        """With the confidences of its words, and their mean as its own."""
        words = tuple(self._word(word) for word in hypothesis.words)
        known = [word.confidence for word in words if word.confidence is not None]
        return replace(hypothesis, words=words, confidence=sum(known) / len(known) if known else hypothesis.confidence)

    def _word(self, word: Word) -> Word:
        if word.confidence is None:
            return word
        return replace(word, confidence=self.confidence(word.confidence, len(word.text)))


def evidence(value: float, characters: int) -> tuple[float, float]:
    """What a calibration weighs: the log-odds of a confidence, and the log-probability of so many characters.

    A confidence counts as at least a millionth and at most all but a millionth.
    """
    bounded = min(max(value, CERTAIN), 1.0 - CERTAIN)
    return math.log(bounded / (1.0 - bounded)), characters * math.log(bounded)
