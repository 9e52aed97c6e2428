"""Calibrated confidences: of words with a confidence of 0.8, eight in ten should be right."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace

from speechxfer.decoding.hypothesis import Hypothesis, Word

#: Confidences are never quite 0 or 1, so that their log-odds are numbers.
CERTAIN = 1e-6


@dataclass(frozen=True)
class Calibration:
    """From a word's confidence to its calibrated one, whose log-odds are a sum (Platt, 2000, with two more terms).

    Attributes:
        slope: times the log-odds of the confidence.
        offset: is added.
        length_slope: times the log-probability that all characters of the word are right, which is their number times
            the logarithm of the confidence. Without it, long words get too much confidence.
        text_slope: times the log-odds of the confidence of the text in which the word stands.
    """

    slope: float
    offset: float = 0.0
    length_slope: float = 0.0
    text_slope: float = 0.0

    def confidence(self, value: float, characters: int = 1, text: float | None = None) -> float:
        """The calibrated confidence of a word, in [0, 1] as all confidences are.

        Args:
            value: its confidence.
            characters: how many it has.
            text: the confidence of the text in which it stands; None where that is not known.
        """
        slopes = (self.slope, self.length_slope, self.text_slope)
        log_odds = self.offset + sum(map(operator.mul, slopes, evidence(value, characters, text)))
        return 1.0 / (1.0 + math.exp(-log_odds))

    def calibrated(self, hypothesis: Hypothesis) -> Hypothesis:
        """With the confidences of its words, and their mean as its own."""
        words = tuple(self._word(word, hypothesis.confidence) for word in hypothesis.words)
        known = [word.confidence for word in words if word.confidence is not None]
        return replace(hypothesis, words=words, confidence=sum(known) / len(known) if known else hypothesis.confidence)

    def _word(self, word: Word, text: float | None) -> Word:
        if word.confidence is None:
            return word
        return replace(word, confidence=self.confidence(word.confidence, len(word.text), text))


def evidence(value: float, characters: int, text: float | None) -> tuple[float, float, float]:
    """What a calibration weighs: log-odds of the word, log-probability of so many characters, log-odds of the text.

    Confidences count as at least a millionth and at most all but a millionth.
    """
    return _log_odds(value), characters * math.log(_bounded(value)), _log_odds(value if text is None else text)


def _log_odds(value: float) -> float:
    return math.log(_bounded(value) / (1.0 - _bounded(value)))


def _bounded(value: float) -> float:
    return min(max(value, CERTAIN), 1.0 - CERTAIN)
