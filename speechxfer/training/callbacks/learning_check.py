"""Whether a run learned anything: one that did not is an error, not a model."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from speechxfer.errors import TrainingError
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.sharding import local
from speechxfer.training.state import TrainingState

#: Sums of weights that differ by less count as equal: nothing that a model does depends on it.
_TOLERANCE = 1e-12


class LearningCheck(Callback):
    """Raises `TrainingError` for an epoch without a usable utterance, a loss of 0, or weights that never changed.

    Args:
        parameters: that are trained, with the weights the run began with, also where it is resumed later.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = parameters
        self._before = self._sums()

    def on_validation(self, state: TrainingState) -> None:
        """Look whether the epoch had something to learn from, before it is measured and saved."""
        position = state.position
        if not position.labels:
            raise TrainingError(
                f"epoch {state.epoch}: no training utterance could be used, so nothing was learned; the lines above "
                "say why, and `speechxfer check` says more"
            )
        if state.epoch == 1 and position.loss == 0.0 and position.norm == 0.0:
            raise TrainingError(
                "epoch 1: the loss and its gradient were 0 in every step, so nothing was learned: the model already "
                "gives exactly these texts or labels; train on others"
            )

    def on_end(self, state: TrainingState) -> None:
        """Look whether any weight has changed in the whole run."""
        if state.error is not None or not all(map(_is_same, self._before, self._sums())):
            return
        if state.stop_reason is not None and state.epoch == 1:
            raise TrainingError(f"the run was stopped before any weight had changed ({state.stop_reason})")
        raise TrainingError(
            "no weight has changed in the whole run, so nothing was learned; raise the learning rates (--encoder-lr, "
            "--head-lr) or training.max_grad_norm"
        )

    def _sums(self) -> list[float]:
        """A sum of each parameter, which changes with any of its weights."""
        return [float(local(one.detach()).sum(dtype=torch.float64)) for one in self._parameters.values()]


def _is_same(before: float, after: float) -> bool:
    return math.isclose(before, after, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
