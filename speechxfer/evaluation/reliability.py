"""Whether confidences of words can be believed: how often words of a confidence are right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis

if TYPE_CHECKING:
    from speechxfer.evaluation.results import Result

#: Bins of equal width (Guo et al., 2017).
_BINS = 15


class Judged(NamedTuple):
    """The confidence of a word that was written, and whether it is right."""

    confidence: float
    right: bool
    #: Of the word as it was written.
    characters: int = 1
    #: Confidence of the text in which it stands.
    text: float | None = None


@dataclass(frozen=True)
class Bin:
    """Words of about the same confidence."""

    words: int
    #: Mean of them.
    confidence: float
    #: Fraction of them.
    right: float

    def row(self) -> tuple[str, str, str]:
        """Of a table: confidence, right, words."""
        return f"{self.confidence:.3f}", f"{self.right:.3f}", str(self.words)


@dataclass(frozen=True)
class Reliability:
    """How often words of each confidence are right."""

    bins: tuple[Bin, ...]

    @property
    def words(self) -> int:
        """How many were judged."""
        return sum(one.words for one in self.bins)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence and correctness, weighted by words."""
        return sum(one.words * abs(one.confidence - one.right) for one in self.bins) / self.words

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"error": self.error, "words": self.words, "bins": [vars(one) for one in self.bins]}


def judged_words(results: Iterable[Result], normalizer: TextNormalizer) -> list[Judged]:
    """Each word that has a confidence, and whether the alignment with the reference has it as right.

    Words are found again in the normalized text that was aligned; one that the normalizer has joined with others, or
    left nothing of, is not judged.
    """
    return [one for result in results for one in _of_result(result, normalizer)]


def reliability(words: Sequence[Judged]) -> Reliability:
    """Words in bins of their confidence, those without a word left out."""
    bins: dict[int, list[Judged]] = {}
    for word in words:
        bins.setdefault(min(int(word.confidence * _BINS), _BINS - 1), []).append(word)
    return Reliability(tuple(_bin(bins[number]) for number in sorted(bins)))


def _of_result(result: Result, normalizer: TextNormalizer) -> list[Judged]:
    prediction, pair = result.prediction, result.pair
    if pair is None or not isinstance(prediction, Hypothesis):
        return []
    parts = [(part, word) for word in prediction.words for part in normalizer(word.text).split()]
    right = set(pair.matches().values())
    written = [part for part, _ in parts]
    blocks = difflib.SequenceMatcher(None, written, pair.hypothesis, autojunk=False).get_matching_blocks()
    return [
        Judged(word.confidence, block.b + offset in right, len(word.text), prediction.confidence)
        for block in blocks
        for offset in range(block.size)
        if (word := parts[block.a + offset][1]).confidence is not None
    ]


def _bin(words: Sequence[Judged]) -> Bin:
    confidence, right = np.mean([(word.confidence, word.right) for word in words], axis=0).tolist()
    return Bin(len(words), confidence, right)
