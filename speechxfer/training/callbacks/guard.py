"""What becomes of the guard's alarms: a warning, a return to an earlier checkpoint, or the end of the run."""

from __future__ import annotations

from typing import Any

from speechxfer.data.manifest import Manifest
from speechxfer.errors import TrainingError
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.guard import Alarm, Guard
from speechxfer.training.state import TrainingState

#: Alarms after which a return with lower learning rates may help.
_MAY_ROLL_BACK = ("not a number", "exploding gradients", "divergence")


class RollbackError(TrainingError):
    """The run is to return to its last checkpoint; the message says why."""


class GuardCallback(Callback):
    """Shows the guard every step and every epoch.

    Args:
        train: the training manifest, whose lines alarms name.
    """

    def __init__(self, train: Manifest) -> None:
        self._train = train
        self._guard = Guard()

    def on_figures(self, state: TrainingState) -> None:
        """Check loss and gradient norm of each step."""
        for figures in state.recent:
            lines = ", ".join(self._train[index].origin for index in figures.utterances[:3])
            _handle(self._guard.step(figures.step, figures.loss, figures.gradient_norm, lines), state)

    def on_validation(self, state: TrainingState) -> None:
        """Check the epoch's loss against dev's scores."""
        if state.dev is None:
            return
        of_classes = state.model.head.task == "classification"
        loss, error, idle = state.position.mean_loss, state.dev.scores.relative_error, state.dev.idle
        _handle(self._guard.epoch(state.epoch, loss, error, idle, of_classes=of_classes), state)

    def state_dict(self) -> dict[str, Any]:
        """The losses and norms that alarms are judged by."""
        return self._guard.state()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._guard = Guard(**state)


def _handle(alarm: Alarm | None, state: TrainingState) -> None:
    mode = state.config.guard
    if alarm is None or (mode == "off" and not alarm.fatal):
        return
    if mode == "rollback" and alarm.kind in _MAY_ROLL_BACK:
        raise RollbackError(str(alarm))
    if alarm.fatal:
        raise TrainingError(f"{alarm}. The best model so far is kept; --guard rollback would go on by itself")
    state.progress.log(f"warning: {alarm}")
