from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import ConfigError, DataError, StorageError
from speechxfer.evaluation.classes import ClassScores, class_scores, wrong_labels
from speechxfer.evaluation.confusion import draw_confusion

NAMES = ("a", "b", "c")


def manifest(labels: list[str]) -> Manifest:
    return Manifest(
        Utterance(audio="x.wav", label=label, origin=f"dev.jsonl:{line}") for line, label in enumerate(labels, start=1)
    )


def said(*probabilities: float, multi_label: bool = False) -> Classification:
    return Classification(NAMES, probabilities, multi_label)


def drawn(count: int, names: tuple[str, ...], seed: int = 0) -> tuple[list[str], list[Classification]]:
    """Labels, and predictions that are right more often than not."""
    chance = np.random.default_rng(seed)
    numbers = chance.integers(0, len(names), count)
    logits = chance.normal(size=(count, len(names))) + 2.0 * np.eye(len(names))[numbers]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [names[number] for number in numbers], [Classification(names, tuple(row)) for row in probabilities.tolist()]


def test_by_hand() -> None:
    scores = class_scores(
        manifest(["a", "a", "b", "b"]), [said(0.8, 0.1, 0.1), said(0.2, 0.7, 0.1), said(0.1, 0.8, 0.1), said(0, 1, 0)]
    )
    assert scores.accuracy == 0.75
    assert scores.confusion == ((1, 1, 0), (0, 2, 0), (0, 0, 0))
    a, b, c = scores.classes
    assert (a.precision, a.recall, a.f1, a.support) == (1.0, 0.5, pytest.approx(2 / 3), 2)
    assert (b.precision, b.recall, b.f1, b.support) == (pytest.approx(2 / 3), 1.0, pytest.approx(0.8), 2)
    assert (c.precision, c.recall, c.f1, c.support) == (0.0, 0.0, 0.0, 0)
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)  # of the classes that occur
    assert scores.cross_entropy == pytest.approx(-(math.log(0.8) + math.log(0.2) + math.log(0.8) + math.log(1)) / 4)
    # Two in the bin of 0.8, both right; one in that of 0.7, wrong; one that is certain, and right.
    assert scores.calibration_error == pytest.approx((2 * 0.2 + 0.7 + 0.0) / 4)
    assert scores.rank == (0.25, scores.cross_entropy)
    assert scores.summary["error"] == 0.25
    assert "accuracy 0.750" in str(scores)
    assert json.loads(json.dumps(scores.to_dict()))["classes"][0]["label"] == "a"
    assert scores.rows()[0] == ("a", "1.000", "0.500", "0.667", "2")


def test_as_scikit_learn_counts() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels, classifications = drawn(400, NAMES)
    called = [item.label for item in classifications]
    scores = class_scores(manifest(labels), classifications)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, called, labels=NAMES)
    found = [(one.precision, one.recall, one.f1, one.support) for one in scores.classes]
    assert np.allclose(found, np.stack([precision, recall, f1, support], axis=1))
    assert scores.macro_f1 == pytest.approx(metrics.f1_score(labels, called, average="macro"))
    assert scores.micro_f1 == pytest.approx(metrics.f1_score(labels, called, average="micro"))
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(labels, called))
    assert scores.confusion == tuple(map(tuple, metrics.confusion_matrix(labels, called, labels=NAMES).tolist()))
    expected = metrics.log_loss(labels, [item.probabilities for item in classifications], labels=NAMES)
    assert scores.cross_entropy == pytest.approx(expected)


def test_several_classes_as_scikit_learn_counts() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    chance = np.random.default_rng(1)
    held = chance.random((200, 3)) < 0.4
    probabilities = np.clip(0.5 + (held - 0.5) * 0.5 + chance.normal(scale=0.3, size=held.shape), 0.01, 0.99)
    labels = ["|".join(np.array(NAMES)[row]) for row in held]
    scores = class_scores(manifest(labels), [said(*row, multi_label=True) for row in probabilities.tolist()])
    called = probabilities > 0.5
    assert scores.macro_f1 == pytest.approx(metrics.f1_score(held, called, average="macro"))
    assert scores.micro_f1 == pytest.approx(metrics.f1_score(held, called, average="micro"))
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(held, called))
    assert scores.confusion == ()
    likelihoods = [metrics.log_loss(held[:, n], probabilities[:, n], labels=[False, True]) for n in range(len(NAMES))]
    assert scores.cross_entropy == pytest.approx(sum(likelihoods))


def test_probabilities_that_mean_what_they_say_are_calibrated() -> None:
    chance = np.random.default_rng(0)
    confidences = chance.uniform(0.34, 0.99, 20_000)
    right = chance.random(20_000) < confidences
    labels = ["a" if hit else "b" for hit in right]
    honest = [said(p, (1 - p) / 2, (1 - p) / 2) for p in confidences]
    assert class_scores(manifest(labels), honest).calibration_error < 0.02
    boasting = [said(0.99, 0.005, 0.005)] * 20_000
    expected = 0.99 - right.mean()
    assert class_scores(manifest(labels), boasting).calibration_error == pytest.approx(expected, abs=1e-6)


def test_a_certain_mistake_is_costly_but_finite() -> None:
    assert 20 < class_scores(manifest(["a"]), [said(0.0, 1.0, 0.0)]).cross_entropy < 40


def test_wrong_labels() -> None:
    assert wrong_labels("a", said(0.5, 0.3, 0.2)) == 0
    assert wrong_labels("b", said(0.5, 0.3, 0.2)) == 1
    assert wrong_labels("a|b", said(0.9, 0.9, 0.1, multi_label=True)) == 0
    assert wrong_labels("b|c", said(0.9, 0.9, 0.1, multi_label=True)) == 2
    assert wrong_labels("", said(0.1, 0.1, 0.1, multi_label=True)) == 0


def test_labels_that_cannot_be_measured_are_reported() -> None:
    with pytest.raises(DataError, match=r"dev\.jsonl:2: label 'd' is not one"):
        class_scores(manifest(["a", "d"]), [said(1, 0, 0)] * 2)
    with pytest.raises(DataError, match="2 labels but 1 predictions"):
        class_scores(manifest(["a", "a"]), [said(1, 0, 0)])


def scored(count: int, names: tuple[str, ...]) -> ClassScores:
    labels, classifications = drawn(count, names)
    return class_scores(manifest(labels), classifications)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 10, 50])
def test_the_confusion_matrix_is_a_picture_of_like_height_and_width(classes: int, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "confusion.png"
    draw_confusion(scored(300, tuple(f"class {number}" for number in range(classes))), path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    assert width == height > 500
    assert [item.name for item in path.parent.iterdir()] == ["confusion.png"]


def test_what_cannot_be_drawn_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        draw_confusion(scored(30, NAMES), tmp_path / "confusion.bmp")
    several = class_scores(manifest(["a|b"]), [said(1, 1, 0, multi_label=True)])
    with pytest.raises(ConfigError, match="multi-label scores"):
        draw_confusion(several, tmp_path / "confusion.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        draw_confusion(scored(30, NAMES), tmp_path / "file" / "confusion.png")
