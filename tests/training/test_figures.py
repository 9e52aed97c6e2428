"""Figures of steps stay on a GPU until several can be fetched at once."""

from __future__ import annotations

import pytest
import torch

from speechxfer.training.checkpoint import Position
from speechxfer.training.figures import PendingFigures
from speechxfer.training.step import StepResult


def result(loss: float, labels: float, norm: float) -> StepResult:
    return StepResult(torch.tensor([loss, labels]), torch.tensor(norm), [0, 1])


@pytest.mark.parametrize(("kind", "steps"), [("cpu", 1), ("cuda", 20)])
def test_a_gpu_is_asked_for_many_steps_at_once(kind: str, steps: int) -> None:
    pending = PendingFigures(torch.device(kind))
    for _ in range(steps):
        assert not pending.is_full
        pending.add(result(1.0, 2.0, 3.0))
    assert pending.is_full
    assert len(pending.collect(Position(step=steps))) == steps
    assert not pending.is_full


def test_collected_figures_are_numbered_and_added_to_the_epoch() -> None:
    pending, position = PendingFigures(torch.device("cuda")), Position(step=7, loss=10.0, labels=5, norm=1.0)
    pending.add(result(2.0, 3.0, 0.5))
    pending.add(result(1.0, 4.0, 0.25))
    found = pending.collect(position)
    assert [(one.step, one.loss, one.gradient_norm) for one in found] == [(6, 2.0, 0.5), (7, 1.0, 0.25)]
    assert (position.loss, position.labels, position.norm) == (20.0, 12, 1.75)
    assert pending.collect(position) == []
