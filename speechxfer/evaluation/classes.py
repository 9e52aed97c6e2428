"""How well classes are told apart: accuracy, F1, confusions, and whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from speechxfer.data.labels import ClassLabels, named
from speechxfer.data.manifest import Manifest
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import DataError

#: Of the calibration error, as in Guo et al., 2017, On Calibration of Modern Neural Networks.
_BINS = 15
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told: of those called so, how many are; of those that are, how many are called so."""

    label: str
    precision: float
    recall: float
    f1: float
    #: Utterances that are of this class.
    support: int


@dataclass(frozen=True)
class ClassScores:
    """Scores of a whole manifest.

    Where several classes may hold at once, `accuracy` is the share of utterances with exactly the right ones, and
    `confusion` is empty.
    """

    accuracy: float
    #: Mean over the classes that occur, in the labels or in what was predicted.
    macro_f1: float
    #: Over all decisions; of single labels it is the accuracy.
    micro_f1: float
    #: Mean negative log-likelihood of the labels, in nats.
    cross_entropy: float
    #: Expected distance of confidence and accuracy, in 15 bins of equal width (Guo et al., 2017); where several
    #: classes may hold, of each one's probability and how often it holds.
    calibration_error: float
    #: One minus the accuracy of always naming the most frequent label.
    baseline_error: float
    classes: tuple[ClassScore, ...]
    #: Utterances of each class (row) called each class (column), in the order of `classes`.
    confusion: tuple[tuple[int, ...], ...]
    utterances: int

    @property
    def rank(self) -> tuple[float, float]:
        """What decides between two models; lower is better. Of equal accuracies, the likelier labels."""
        return 1.0 - self.accuracy, self.cross_entropy

    @property
    def relative_error(self) -> float:
        """The error as a share of that of always naming the most frequent label; 0 where there is only one."""
        return (1.0 - self.accuracy) / self.baseline_error if self.baseline_error else 0.0

    @property
    def summary(self) -> dict[str, float]:
        """The most telling figures by name."""
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
    """What was predicted for a manifest's utterances against their labels.

    Raises:
        DataError: different counts, or an utterance without a label or with one that the model does not know.
    """
    if len(manifest) != len(classifications):
        raise DataError(f"{len(manifest)} labels but {len(classifications)} predictions; wanted one for each")
    first = classifications[0]
    labels = ClassLabels(first.labels, multi_label=first.multi_label)
    held, chosen = (np.zeros((len(manifest), len(labels)), dtype=bool) for _ in range(2))
    for row, (utterance, item) in enumerate(zip(manifest, classifications, strict=True)):
        held[row, labels.numbers(utterance)] = True
        chosen[row, [labels.number(name) for name in item.chosen]] = True
    probabilities = np.array([item.probabilities for item in classifications], dtype=np.float64)
    calibration = _calibration_error(probabilities.ravel(), held.ravel())
    confusion: tuple[tuple[int, ...], ...] = ()
    if not first.multi_label:
        confusion = tuple(map(tuple, (held.T.astype(int) @ chosen.astype(int)).tolist()))
        calibration = _calibration_error(probabilities.max(axis=1), held[chosen])
    return ClassScores(
        accuracy=float((held == chosen).all(axis=1).mean()),
        macro_f1=_macro_f1(held, chosen),
        micro_f1=_f1(int((held & chosen).sum()), int(held.sum()), int(chosen.sum())),
        cross_entropy=_cross_entropy(probabilities, held, multi_label=first.multi_label),
        calibration_error=calibration,
        baseline_error=1.0 - float(np.unique(held, axis=0, return_counts=True)[1].max() / len(manifest)),
        classes=tuple(_class_score(name, held[:, n], chosen[:, n]) for n, name in enumerate(labels.names)),
        confusion=confusion,
        utterances=len(manifest),
    )


def wrong_labels(reference: str, classification: Classification) -> int:
    """Classes of a label that were not predicted, or were and are not among its own; of single labels at most one."""
    if not classification.multi_label:
        return int(reference != classification.label)
    return len(set(named(reference, multi_label=True)).symmetric_difference(classification.chosen))


def _class_score(label: str, held: np.ndarray, chosen: np.ndarray) -> ClassScore:
    right, support, predicted = int((held & chosen).sum()), int(held.sum()), int(chosen.sum())
    f1 = _f1(right, support, predicted)
    return ClassScore(label, right / max(predicted, 1), right / max(support, 1), f1, support)


def _macro_f1(held: np.ndarray, chosen: np.ndarray) -> float:
    occurring = (held | chosen).any(axis=0)
    scores = [_class_score("", held[:, number], chosen[:, number]).f1 for number in np.flatnonzero(occurring)]
    return float(np.mean(scores)) if scores else 0.0


def _f1(right: int, support: int, predicted: int) -> float:
    """The harmonic mean of precision and recall; 0 where nothing is right."""
    return 2 * right / max(support + predicted, 1)


def _cross_entropy(probabilities: np.ndarray, held: np.ndarray, *, multi_label: bool) -> float:
    """A mean over utterances; where several classes may hold, of the sum over the classes."""
    likely = probabilities.clip(_LEAST_PROBABILITY, 1.0)
    total = np.log(likely[held]).sum()
    if multi_label:
        total += np.log((1.0 - probabilities).clip(_LEAST_PROBABILITY, 1.0)[~held]).sum()
    return float(-total / len(held))


def _calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins (0, 1/15], (1/15, 2/15], …, weighed by what falls in."""
    bins = np.clip(np.ceil(confidences * _BINS).astype(int) - 1, 0, _BINS - 1)
    distances = np.bincount(bins, weights=right - confidences, minlength=_BINS)
    return float(np.abs(distances).sum() / len(confidences))
