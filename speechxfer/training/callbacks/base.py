"""The interface between the training loop and everything that happens around its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.training.state import TrainingState


class Callback:
    """Called by the training loop; override the hooks you need and pass an instance to `finetune(callbacks=[...])`.

    The hooks of a run in order: `on_begin`; for each epoch `on_epoch_begin`, then for each step `on_step_end` and, when
    its loss is known, `on_figures`; then `on_validation` and `on_epoch_end`; at last `on_end`.

    In a run of several processes each process has its own callbacks and calls every hook of them, with the same
    figures. Write files and print only where `state.is_main`.

    Any hook may call `state.stop()`. A hook that raises ends the run: from the first epoch on the state is saved as
    after Ctrl-C, so that the run can be resumed. The error goes to the caller of `finetune`.
    """

    def on_begin(self, state: TrainingState) -> None:
        """Before the first step, at the position where the run begins or is resumed."""

    def on_epoch_begin(self, state: TrainingState) -> None:
        """Before the steps of an epoch, also of the rest of one after resuming."""

    def on_step_end(self, state: TrainingState) -> None:
        """After each step (`state.step`); its loss may still be on the device."""

    def on_figures(self, state: TrainingState) -> None:
        """When losses and gradient norms of the last steps are known (`state.recent`).

        That is after every step on a CPU. A GPU would have to wait for them, so there it is after every 20th step and
        after the last one of an epoch.
        """

    def on_validation(self, state: TrainingState) -> None:
        """After the steps of an epoch, when dev has been decoded (`state.dev`, `state.figures`, `state.is_best`).

        The model is in eval mode, and with `training.ema_epochs` has its averaged weights.
        """

    def on_epoch_end(self, state: TrainingState) -> None:
        """After the validation, before the checkpoint of the epoch is written."""

    def on_log(self, state: TrainingState, values: Mapping[str, float], step: int) -> None:
        """When figures are logged after so many steps, by the run ("train/loss", "dev/wer") or by `state.log`."""

    def on_interrupt(self, state: TrainingState) -> None:
        """When the run is interrupted by Ctrl-C, or by a callback that raised; the callback added last comes first."""

    def on_end(self, state: TrainingState) -> None:
        """When the run is over, however it ended (`state.error`); the callback added last comes first."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on exactly, as JSON values; it is kept in every checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, before `on_begin`, or when the run returns to an earlier checkpoint."""


def check_callbacks(callbacks: Sequence[object]) -> None:
    """Look whether these are callbacks.

    Raises:
        ConfigError: one is not.
    """
    if not isinstance(callbacks, Sequence):
        raise ConfigError(f"callbacks is {callbacks!r}; wanted a list of instances of speechxfer.Callback")
    for place, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            raise ConfigError(f"callbacks[{place}] is {callback!r}; wanted an instance of speechxfer.Callback")
