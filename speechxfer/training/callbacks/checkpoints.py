"""Checkpoints inside epochs and at their end, resuming from them, and returning to them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from speechxfer.errors import CheckpointError, ConfigError, TrainingError
from speechxfer.training import checkpoint
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.checkpoint import Position
from speechxfer.training.sharding import is_sharded
from speechxfer.training.state import TrainingState

#: Returns to an earlier checkpoint before a run is given up.
_MOST_ROLLBACKS = 3


class Checkpoints(Callback):
    """Writes what a run needs to be resumed exactly: weights, moments, position, and the state of all callbacks.

    To be called after all other callbacks, so that it saves what they have made of a step or an epoch.

    Args:
        folder: where checkpoints are.
        parameters, optimizer: what is trained, and by what.
        callbacks: whose state belongs to a checkpoint.
    """

    def __init__(
        self, folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer,
        callbacks: Sequence[Callback],
    ) -> None:  # fmt: skip
        self._folder, self._parameters, self._optimizer = folder, parameters, optimizer
        self._callbacks = _named(callbacks)
        self._saved = time.monotonic()
        self._is_resumed = False

    def resume(self, state: TrainingState) -> None:
        """Go on from the newest undamaged checkpoint, or begin where there is none.

        Raises:
            CheckpointError: all are damaged, of another version, or of a run on other data or with other parts frozen.
        """
        found = checkpoint.load(self._folder, self._parameters, self._optimizer, state.progress)
        if found is None:
            return
        if found.data not in ("", state.position.data):
            raise CheckpointError(
                f"{self._folder}: the training or dev manifest has changed since the run began; put the old one "
                "back, or start again with --overwrite"
            )
        self._is_resumed = True
        self._take(state, found)

    def roll_back(self, state: TrainingState, reason: str) -> None:
        """Return to the last checkpoint with half the learning rates; that decision is saved at once.

        Raises:
            TrainingError: there is no checkpoint, or the run has returned too often.
        """
        scale, rollbacks = state.position.rate_scale / 2, state.position.rollbacks + 1
        if rollbacks > _MOST_ROLLBACKS:
            raise TrainingError(f"{reason}. After {_MOST_ROLLBACKS} returns with lower learning rates this run is given up; the best model so far is kept")  # fmt: skip  # noqa: E501
        found = checkpoint.load(self._folder, self._parameters, self._optimizer, state.progress)
        if found is None:
            raise TrainingError(f"{reason}. There is no earlier state to return to")
        found.rate_scale, found.rollbacks = scale, rollbacks
        self._take(state, found)
        state.world.barrier()  # every process has read it
        state.progress.log(f"{reason}. Back to epoch {found.epoch + 1} with {scale:g} of the learning rates")
        self._save(state)

    def on_begin(self, state: TrainingState) -> None:
        """Save the beginning of a run that may have to return to it."""
        self._saved = time.monotonic()
        if state.config.guard == "rollback" and not self._is_resumed:
            self._save(state)

    def on_figures(self, state: TrainingState) -> None:
        """Save from time to time, only when the guard has seen all steps."""
        if time.monotonic() - self._saved > 60 * state.config.checkpoint_minutes:
            self._save(state)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Save the epoch."""
        self._save(state)

    def on_interrupt(self, state: TrainingState) -> None:
        """Save the last step."""
        self._save(state)

    def _save(self, state: TrainingState) -> None:
        with state.untimed():
            states = {name: _json_state(name, callback) for name, callback in self._callbacks.items()}
            state.position.callbacks = states
            if state.is_main or is_sharded(self._parameters.values()):
                tensors = checkpoint.collected(self._parameters, self._optimizer)
            if state.is_main:
                checkpoint.save(self._folder, tensors, state.position)
        self._saved = time.monotonic()

    def _take(self, state: TrainingState, found: Position) -> None:
        found.data = state.position.data
        state.position, state.epoch = found, found.epoch + 1
        for name, callback in self._callbacks.items():
            if name in found.callbacks:
                callback.load_state_dict(found.callbacks[name])


def _json_state(name: str, callback: Callback) -> dict[str, Any]:
    state = callback.state_dict()
    try:
        json.dumps(state)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}.state_dict() is no JSON ({error}); wanted a dict of plain values") from error
    return state


def _named(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by the names of their classes; of a class that has several, with numbers."""
    count: Counter[str] = Counter()
    named: dict[str, Callback] = {}
    for callback in callbacks:
        name = type(callback).__name__
        count[name] += 1
        named[name if count[name] == 1 else f"{name} {count[name]}"] = callback
    return named
