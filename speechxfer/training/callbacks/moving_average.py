"""The moving average of the weights: steadier than the weights of any one step (Polyak and Juditsky, 1992)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from speechxfer.training.callbacks.base import Callback
from speechxfer.training.sharding import local
from speechxfer.training.state import TrainingState

#: Kept among the optimizer's moments, so that a checkpoint holds it as well.
_KEY = "average"


class MovingAverage(Callback):
    """Keeps the average over about so many epochs, which is measured and saved in place of the weights."""

    def __init__(self, optimizer: torch.optim.Optimizer, epochs: float) -> None:
        self._optimizer, self._epochs = optimizer, epochs

    def on_step_end(self, state: TrainingState) -> None:
        """Move the average to the weights."""
        update(self._optimizer, decay(state.step - 1, self._epochs * state.steps_in_epoch))


def decay(step: int, horizon: float) -> float:
    """Fraction of the old average that is kept in a step (counted from 0), for a horizon of so many steps.

    It is less at first, when the old average is mostly where training began.
    """
    return min(math.exp(-1.0 / horizon), (1 + step) / (10 + step))


@torch.no_grad()
def update(optimizer: torch.optim.Optimizer, kept: float) -> None:
    """Move the averages to the weights that have been trained so far; a weight's first average is itself."""
    known = {parameter: state for parameter, state in optimizer.state.items() if _KEY in state}
    if known:
        averages = [local(state[_KEY]) for state in known.values()]
        torch._foreach_lerp_(averages, [local(parameter.detach()) for parameter in known], 1.0 - kept)
    for parameter, state in optimizer.state.items():
        if state and _KEY not in state:
            state[_KEY] = parameter.detach().clone()


@contextmanager
def averaged(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Put the averages in the place of the weights for as long as this lasts; without averages nothing changes."""
    _swap(optimizer)
    try:
        yield
    finally:
        _swap(optimizer)


@torch.no_grad()
def _swap(optimizer: torch.optim.Optimizer) -> None:
    for parameter, state in optimizer.state.items():
        if _KEY in state:
            weights = parameter.detach().clone()
            parameter.copy_(state[_KEY])
            state[_KEY].copy_(weights)
