"""The model of the best epoch so far, and an end where it stays the best for too long."""

from __future__ import annotations

from speechxfer.training.callbacks.base import Callback
from speechxfer.training.state import TrainingState


class BestModel(Callback):
    """Saves the model whenever dev's error is the lowest so far."""

    def on_validation(self, state: TrainingState) -> None:
        """Compare with the best epoch so far."""
        if state.dev is None:
            return
        position, scores = state.position, state.dev.scores
        state.is_best = position.best is None or scores.rank < position.best
        if not state.is_best:
            return
        if state.is_main:
            state.model.save(state.folder.model)
        # Only now: a run that is interrupted before this point finds the same epoch best again.
        position.best, position.best_scores, position.best_epoch = scores.rank, scores.summary, state.epoch

    def on_interrupt(self, state: TrainingState) -> None:
        """Leave a model, even if no epoch has ended."""
        if state.position.best is None and state.is_main:
            state.model.save(state.folder.model)


class EarlyStopping(Callback):
    """Stops the run after so many epochs without a lower dev error."""

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_begin(self, state: TrainingState) -> None:
        """A run that had stopped before stops again."""
        self._check(state, state.epoch - 1)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Count the epochs since the best one."""
        self._check(state, state.epoch)

    def _check(self, state: TrainingState, done: int) -> None:
        if state.position.best is not None and done - state.position.best_epoch >= self._patience:
            state.stop(f"no lower dev error for {self._patience} epochs")
