"""Where overfitting begins, and what an epoch leaves behind."""

from __future__ import annotations

from typing import Any

from speechxfer.training import curves


def lines(train: list[float], dev: list[float]) -> list[dict[str, Any]]:
    return [{"loss": loss, "dev_loss": other} for loss, other in zip(train, dev, strict=True)]


def test_overfitting_begins_after_the_lowest_dev_loss() -> None:
    found = curves.overfitting(lines([3, 2, 1, 0.5, 0.2], [3, 2, 2.1, 2.3, 2.6]), best_epoch=2)
    assert found is not None
    assert found.from_epoch == 3
    assert str(found) == "overfitting from epoch 3: dev loss 2 -> 2.6 while the training loss fell 2 -> 0.2"


def test_a_score_that_still_improved_is_reported_with_it() -> None:
    found = curves.overfitting(lines([3, 2, 1, 0.5], [3, 2, 2.1, 2.6]), best_epoch=4)
    assert "dev's score was still best in epoch 4" in str(found)


def test_noise_a_short_rise_and_divergence_are_no_overfitting() -> None:
    assert curves.overfitting(lines([3, 2, 1, 0.9], [3, 2, 2.02, 2.05]), best_epoch=2) is None  # within 5 %
    assert curves.overfitting(lines([3, 2, 1], [3, 2, 2.6]), best_epoch=2) is None  # a single epoch
    assert curves.overfitting(lines([3, 1, 2, 4], [3, 2, 3, 4]), best_epoch=2) is None  # training got worse too
    assert curves.overfitting(lines([3, 2, 1], [3, 2, 1]), best_epoch=3) is None
    assert curves.overfitting([], best_epoch=0) is None


def test_names_are_grouped_for_tensorboard() -> None:
    line = {"epoch": 3, "step": 12, "loss": 1, "dev_wer": 0.5, "dev_s": 2, "retain_wer": 0.1, "encoder_rate": 0.01}
    assert curves.tagged(line) == {
        "epoch/loss": 1.0, "dev/wer": 0.5, "epoch/dev_s": 2.0, "retain/wer": 0.1, "epoch/encoder_rate": 0.01
    }  # fmt: skip
