"""Where a run's figures are logged: TensorBoard always, others through accelerate's trackers by name."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

from speechxfer.errors import ConfigError, StorageError
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.state import TrainingState

#: The project of all runs in the other trackers.
_PROJECT = "speechxfer"
#: What each calls a run within a project.
_RUN_NAME = {"mlflow": "run_name", "trackio": "name", "wandb": "name"}


class Trackers(Callback):
    """Logs to TensorBoard's event files in the run's folder, and to the trackers that were asked for.

    Only the main process does.

    Args:
        names: of accelerate's trackers: mlflow, trackio, wandb.
        settings: the run's, flat: shown beside its figures.
    """

    def __init__(self, names: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._names, self._settings = names, settings
        self._writer: Any = None
        self._others: dict[str, Any] = {}

    def on_begin(self, state: TrainingState) -> None:
        """Open the event file, and a run in every other tracker.

        Raises:
            ConfigError: a tracker cannot be started, for instance because nobody is logged in.
            StorageError: the event file cannot be written.
        """
        if not state.is_main:
            return
        from tensorboardX import SummaryWriter  # late, as all of them

        folder, step = state.folder, state.step
        # What an interrupted run had written beyond its checkpoint is written again: TensorBoard leaves it out.
        purge = step + 1 if step else None
        try:
            self._writer = SummaryWriter(str(folder.tensorboard), purge_step=purge, filename_suffix=f".from-{step}")
        except OSError as error:
            raise StorageError(f"{folder.tensorboard}: could not be written ({error.strerror}); free some space or choose another folder, then run again") from error  # fmt: skip  # noqa: E501
        for name in self._names:
            self._others[name] = _started(name, folder.name, self._settings)

    def on_log(self, state: TrainingState, values: Mapping[str, float], step: int) -> None:
        """Log figures by name; a tracker that fails is left out from then on, and the run goes on."""
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)  # by a thread of its own, later
        for name in list(self._others):
            try:
                self._others[name].log(dict(values), step=step)
            except Exception as error:  # whatever a service has: hours of training are not lost over it
                state.progress.log(f"{name}: takes no more figures ({error}); the run goes on without it")
                del self._others[name]

    def on_end(self, state: TrainingState) -> None:
        """Write what is left."""
        if self._writer is not None:
            files = self._writer.file_writer
            try:
                self._writer.close()
            except OSError as error:
                path = state.folder.tensorboard
                state.progress.log(f"{path}: could not be written ({error.strerror}); the run goes on without it")
            # Closed once more when the process ends; until then it would keep the buffers of every run.
            files.event_writer = io.BytesIO()
        for name, tracker in self._others.items():
            try:
                tracker.finish()
            except Exception as error:
                state.progress.log(f"{name}: could not be finished ({error})")
        self._writer, self._others = None, {}


def check_trackers(names: Sequence[str]) -> None:
    """Look whether the packages of these trackers are installed.

    Raises:
        ConfigError: one is not.
    """
    for package in ("accelerate", *names) if names else ():
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"training.trackers is {list(names)}, but the package {package} is not installed; "
                f"pip install {package}, or leave --track out"
            )


def _started(name: str, run: str, settings: Mapping[str, Any]) -> Any:
    from accelerate import PartialState
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    try:
        PartialState()  # without it accelerate's trackers refuse to work
        tracker = LOGGER_TYPE_TO_CLASS[name](_PROJECT, **{_RUN_NAME[name]: run})
        tracker.start()
        tracker.store_init_configuration(dict(settings))
    except Exception as error:
        raise ConfigError(
            f"training.trackers: {name} cannot be started ({error}); is it set up and somebody logged in? Or leave "
            f"--track {name} out"
        ) from error
    return tracker
