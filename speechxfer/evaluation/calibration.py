"""How the confidences of a model's words should be corrected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.calibration import Calibration, log_odds
from speechxfer.errors import DataError
from speechxfer.evaluation.evaluate import evaluate
from speechxfer.evaluation.reliability import Judged, Reliability, judged_words, reliability
from speechxfer.model import SpeechModel
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
            f"words; slope {self.calibration.slope:.2f}, offset {self.calibration.offset:+.2f})"
        )


def measured(
    model: SpeechModel, dev: Manifest, normalizer: TextNormalizer, *, progress: Progress | None = None
) -> Calibrated:
    """How the confidences of a model should be corrected, fitted to the words that it writes for dev.

    Raises:
        DataError: there are too few words, an utterance without text, or unreadable audio.
    """
    found = evaluate(model, dev, normalizer, progress=progress)
    words = judged_words(found.results, normalizer)
    calibration = fit(words)
    whole = calibration if model.calibration is None else model.calibration.then(calibration)
    after = [Judged(calibration.confidence(word.confidence), word.right) for word in words]
    return Calibrated(whole, reliability(words), reliability(after))


def fit(words: Sequence[Judged]) -> Calibration:
    """The slope and offset under which the words are most likely (Platt, 2000), by Newton's method.

    Targets are a little less than certain, as by Platt, so that data without an error has a finite solution.

    Raises:
        DataError: there are too few words.
    """
    if len(words) < LEAST_WORDS:
        raise DataError(f"there are {len(words)} words with a confidence; wanted at least {LEAST_WORDS} to calibrate confidences with")  # fmt: skip  # noqa: E501
    odds = np.array([log_odds(word.confidence) for word in words])
    right = np.array([word.right for word in words])
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    columns = np.stack([odds, np.ones_like(odds)])
    found = np.array([0.0, math.log(target.mean() / (1 - target.mean()))])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-(found @ columns)))
        curvature = (columns * (likely * (1 - likely))) @ columns.T + 1e-6 * np.eye(2)
        found = found + np.clip(np.linalg.solve(curvature, columns @ (target - likely)), -1, 1)
    slope, offset = found.tolist()
    if slope < 0:  # more confident words are wrong more often: all are as likely to be right
        return Calibration(0.0, math.log(target.mean() / (1 - target.mean())))
    return Calibration(slope, offset)
