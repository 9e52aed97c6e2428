"""Whether a run learned anything: one that did not is an error, not a model."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from speechxfer.errors import TrainingError
from speechxfer.training.checkpoint import Position

#: Sums of weights that differ by less are taken for the same: nothing that a model does depends on it.
_SAME = 1e-12


def check_epoch(at: Position) -> None:
    """Look after its steps whether an epoch had something to learn from; before it is measured and kept.

    Raises:
        TrainingError: no utterance of it could be used, or the first epoch had no loss and no gradient.
    """
    if not at.labels:
        raise TrainingError(
            f"epoch {at.epoch + 1}: no training utterance could be used, so nothing was learned; the lines above say "
            "why, and `speechxfer check` says more"
        )
    if at.epoch == 0 and at.loss == 0.0 and at.norm == 0.0:
        raise TrainingError(
            "epoch 1: the loss and its gradient were 0 in every step, so nothing was learned: the model already gives "
            "exactly these texts or labels; train on others"
        )


def fingerprint(parameters: Mapping[str, nn.Parameter]) -> list[float]:
    """A sum of each parameter, which changes with any of its weights."""
    return [float(parameter.detach().sum(dtype=torch.float64)) for parameter in parameters.values()]


def check_weights(before: list[float], after: list[float]) -> None:
    """Look at the end of a run whether any weight has changed.

    Raises:
        TrainingError: none has.
    """
    if all(math.isclose(*sums, rel_tol=_SAME, abs_tol=_SAME) for sums in zip(before, after, strict=True)):
        raise TrainingError(
            "no weight has changed in the whole run, so nothing was learned; raise the learning rates (--encoder-lr, "
            "--head-lr) or training.max_grad_norm"
        )
