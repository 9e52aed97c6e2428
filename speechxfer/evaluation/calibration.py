"""How the confidences of a model's words should be corrected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.calibration import Calibration, evidence
from speechxfer.errors import DataError
from speechxfer.evaluation.evaluate import evaluate
from speechxfer.evaluation.reliability import Judged, Reliability, judged_words, reliability
from speechxfer.predictor import Predictor
from speechxfer.progress import Progress

#: Fewer words say too little.
LEAST_WORDS = 100
#: Of Newton's method.
_STEPS = 50


@dataclass(frozen=True)
class Calibrated:
    """A calibration, and the reliability of the words that it was fitted to, before and after."""

    calibration: Calibration
    before: Reliability
    after: Reliability

    def __str__(self) -> str:
        return (
            f"expected calibration error on dev {self.before.error:.3f} -> {self.after.error:.3f} ({self.before.words} "
            f"words; slopes: word {self.calibration.slope:.2f}, its length {self.calibration.length_slope:.2f}, text "
            f"{self.calibration.text_slope:.2f}; offset {self.calibration.offset:+.2f})"
        )


def measured(
    model: Predictor, dev: Manifest, normalizer: TextNormalizer, *, progress: Progress | None = None
) -> Calibrated:
    """How the confidences of a model should be corrected, fitted to the words that it writes for dev.

    Raises:
        DataError: there are too few words, an utterance without text, or unreadable audio.
    """
    present, model.calibration = model.calibration, None
    try:
        found = evaluate(model, dev, normalizer, progress=progress)
    finally:
        model.calibration = present
    words = judged_words(found.results, normalizer)
    calibration = fit(words)
    before = words if present is None else _under(present, words)
    return Calibrated(calibration, reliability(before), reliability(_under(calibration, words)))


def fit(words: Sequence[Judged]) -> Calibration:
    """The calibration under which words with these confidences are most likely.

    A term that would make more confident words less likely to be right is left out.

    Raises:
        DataError: there are too few words.
    """
    if len(words) < LEAST_WORDS:
        raise DataError(f"there are {len(words)} words with a confidence; wanted at least {LEAST_WORDS} to calibrate confidences with")  # fmt: skip  # noqa: E501
    right = np.array([word.right for word in words])
    terms = np.array([(*evidence(word.confidence, word.characters, word.text), 1.0) for word in words])
    used = np.ones(terms.shape[1], dtype=bool)
    while True:
        weights = np.zeros(len(used))
        weights[used] = _logistic(terms[:, used], right)
        if (weights[:-1] >= 0).all():
            slope, length_slope, text_slope, offset = weights.tolist()
            return Calibration(slope, offset, length_slope, text_slope)
        used[int(weights[:-1].argmin())] = False


def _logistic(terms: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights of terms [words, terms], the last of which is 1, by Newton's method.

    Targets are a little less than certain, as by Platt (2000), so that data without an error has a finite solution.
    """
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    found = np.zeros(terms.shape[1])
    found[-1] = math.log(target.mean() / (1 - target.mean()))
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-(terms @ found)))
        curvature = (terms.T * (likely * (1 - likely))) @ terms + 1e-6 * np.eye(len(found))
        found = found + np.clip(np.linalg.solve(curvature, terms.T @ (target - likely)), -1, 1)
    return found


def _under(calibration: Calibration, words: Sequence[Judged]) -> list[Judged]:
    """Words with calibrated confidences."""
    calibrated = [calibration.confidence(word.confidence, word.characters, word.text) for word in words]
    return [word._replace(confidence=confidence) for word, confidence in zip(words, calibrated, strict=True)]
