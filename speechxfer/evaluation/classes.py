"""Classification scores: accuracy, F1, confusion matrix and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speechxfer.data.labels import ClassLabels, named
from speechxfer.data.manifest import Manifest
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import DataError

#: Bins of the calibration error, as in Guo et al., 2017, On Calibration of Modern Neural Networks.
_BINS = 15
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one class."""

    label: str
    precision: float
    recall: float
    f1: float
    #: Utterances of this class.
    support: int


@dataclass(frozen=True)
class ClassScores:
    """Scores of a whole manifest.

    For multi-label classification, `accuracy` is the fraction of utterances with exactly the right classes, and
    `confusion` is empty.
    """

    accuracy: float
    #: Mean F1 of the classes that occur in labels or predictions.
    macro_f1: float
    #: F1 over all decisions; for single labels, the accuracy.
    micro_f1: float
    #: Mean negative log-likelihood of the labels, in nats.
    cross_entropy: float
    #: Expected calibration error in 15 bins of equal width (Guo et al., 2017); for multi-label classification, over the
    #: probabilities of all classes.
    calibration_error: float
    #: Error of always predicting the most frequent label.
    baseline_error: float
    classes: tuple[ClassScore, ...]
    #: Utterances by true class (row) and predicted class (column), in the order of `classes`.
    confusion: tuple[tuple[int, ...], ...]
    utterances: int

    @property
    def rank(self) -> tuple[float, float]:
        """The sort key of models, lower is better: the error, then the cross-entropy."""
        return 1.0 - self.accuracy, self.cross_entropy

    @property
    def relative_error(self) -> float:
        """The error relative to that of always predicting the most frequent label; 0 if there is only one label."""
        return (1.0 - self.accuracy) / self.baseline_error if self.baseline_error else 0.0

    @property
    def summary(self) -> dict[str, float]:
        """The main figures by name."""
        return {"error": 1.0 - self.accuracy, "macro_f1": self.macro_f1, "cross_entropy": self.cross_entropy}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """A table of the classes: label, precision, recall, F1, support."""
        return [
            (one.label, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", str(one.support))
            for one in self.classes
        ]

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.3f}  macro-F1 {self.macro_f1:.3f}  calibration error "
            f"{self.calibration_error:.3f}  ({len(self.classes)} classes, {self.utterances} utterances)"
        )


def class_scores(manifest: Manifest, classifications: Sequence[Classification]) -> ClassScores:
    """Scores of predictions against the labels of a manifest.

    Raises:
        DataError: different counts, or an utterance without a label or with one that the model does not know.
    """
    if len(manifest) != len(classifications):
        raise DataError(f"{len(manifest)} labels but {len(classifications)} predictions; wanted one for each")
    first = classifications[0]
    labels = ClassLabels(first.labels, multi_label=first.multi_label)
    actual, predicted = (np.zeros((len(manifest), len(labels)), dtype=bool) for _ in range(2))
    for row, (utterance, item) in enumerate(zip(manifest, classifications, strict=True)):
        actual[row, labels.numbers(utterance)] = True
        predicted[row, [labels.number(name) for name in item.chosen]] = True
    probabilities = np.array([item.probabilities for item in classifications], dtype=np.float64)
    calibration = _calibration_error(probabilities.ravel(), actual.ravel())
    confusion: tuple[tuple[int, ...], ...] = ()
    if not first.multi_label:
        confusion = tuple(map(tuple, (actual.T.astype(int) @ predicted.astype(int)).tolist()))
        calibration = _calibration_error(probabilities.max(axis=1), actual[predicted])
    return ClassScores(
        accuracy=float((actual == predicted).all(axis=1).mean()),
        macro_f1=_macro_f1(actual, predicted),
        micro_f1=_f1(int((actual & predicted).sum()), int(actual.sum()), int(predicted.sum())),
        cross_entropy=_cross_entropy(probabilities, actual, multi_label=first.multi_label),
        calibration_error=calibration,
        baseline_error=1.0 - float(np.unique(actual, axis=0, return_counts=True)[1].max() / len(manifest)),
        classes=tuple(_class_score(name, actual[:, n], predicted[:, n]) for n, name in enumerate(labels.names)),
        confusion=confusion,
        utterances=len(manifest),
    )


def wrong_labels(reference: str, classification: Classification) -> int:
    """Number of missing and wrongly predicted classes of an utterance; at most one for single labels."""
    if not classification.multi_label:
        return int(reference != classification.label)
    return len(set(named(reference, multi_label=True)).symmetric_difference(classification.chosen))


def _class_score(label: str, actual: np.ndarray, predicted: np.ndarray) -> ClassScore:
    right, support, total = int((actual & predicted).sum()), int(actual.sum()), int(predicted.sum())
    f1 = _f1(right, support, total)
    return ClassScore(label, right / max(total, 1), right / max(support, 1), f1, support)


def _macro_f1(actual: np.ndarray, predicted: np.ndarray) -> float:
    occurring = (actual | predicted).any(axis=0)
    scores = [_class_score("", actual[:, number], predicted[:, number]).f1 for number in np.flatnonzero(occurring)]
    return float(np.mean(scores)) if scores else 0.0


def _f1(right: int, support: int, predicted: int) -> float:
    """The harmonic mean of precision and recall; 0 without a true positive."""
    return 2 * right / max(support + predicted, 1)


def _cross_entropy(probabilities: np.ndarray, actual: np.ndarray, *, multi_label: bool) -> float:
    """Mean over utterances; for multi-label classification, of the sum over classes."""
    clipped = probabilities.clip(_LEAST_PROBABILITY, 1.0)
    total = np.log(clipped[actual]).sum()
    if multi_label:
        total += np.log((1.0 - probabilities).clip(_LEAST_PROBABILITY, 1.0)[~actual]).sum()
    return float(-total / len(actual))


def _calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over the bins (0, 1/15], (1/15, 2/15], …, weighted by their size."""
    bins = np.clip(np.ceil(confidences * _BINS).astype(int) - 1, 0, _BINS - 1)
    distances = np.bincount(bins, weights=right - confidences, minlength=_BINS)
    return float(np.abs(distances).sum() / len(confidences))
