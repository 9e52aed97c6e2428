"""Where a run's figures are watched: TensorBoard always, others through accelerate's trackers by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from speechxfer.errors import ConfigError
from speechxfer.progress import Progress
from speechxfer.runs import RunFolder

#: Under which all runs are filed elsewhere.
_PROJECT = "speechxfer"
#: What each calls a run within a project.
_RUN_NAME = {"mlflow": "run_name", "trackio": "name", "wandb": "name"}


class Tracking:
    """Nobody watches."""

    def begin(self, step: int) -> None:
        """Before the first figures; on resuming, `step` is where the run goes on."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures by name after so many steps."""

    def close(self) -> None:
        """No more figures will come."""


class Tracked(Tracking):
    """TensorBoard's event files in the run's folder, and the trackers that were asked for.

    Args:
        folder: the run's.
        names: of accelerate's trackers: mlflow, trackio, wandb.
        settings: the run's, flat: shown beside its figures.
    """

    def __init__(
        self, folder: RunFolder, names: Sequence[str], settings: Mapping[str, Any], progress: Progress | None = None
    ) -> None:
        self._folder, self._names, self._settings = folder, names, settings
        self._progress = progress or Progress()
        self._writer: Any = None
        self._others: dict[str, Any] = {}

    def begin(self, step: int) -> None:
        """Open the event file, and a run in every other tracker.

        Raises:
            ConfigError: a tracker cannot be started, for instance because nobody is logged in.
        """
        from tensorboardX import SummaryWriter  # late, as all of them

        # What an interrupted run had written beyond its checkpoint is written again: TensorBoard leaves it out.
        purge = step + 1 if step else None
        self._writer = SummaryWriter(str(self._folder.tensorboard), purge_step=purge, filename_suffix=f".from-{step}")
        for name in self._names:
            self._others[name] = _started(name, self._folder.name, self._settings)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures by name; a tracker that fails is left out from then on, and the run goes on."""
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        for name in list(self._others):
            try:
                self._others[name].log(dict(values), step=step)
            except Exception as error:  # whatever a service has: hours of training are not lost over it
                self._progress.log(f"{name}: takes no more figures ({error}); the run goes on without it")
                del self._others[name]

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
        for name, tracker in self._others.items():
            try:
                tracker.finish()
            except Exception as error:
                self._progress.log(f"{name}: could not be finished ({error})")
        self._writer, self._others = None, {}


def check(names: Sequence[str]) -> None:
    """Whether the packages of these trackers are there.

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
        PartialState()  # without it accelerate's trackers refuse to speak
        tracker = LOGGER_TYPE_TO_CLASS[name](_PROJECT, **{_RUN_NAME[name]: run})
        tracker.start()
        tracker.store_init_configuration(dict(settings))
    except Exception as error:
        raise ConfigError(
            f"training.trackers: {name} cannot be started ({error}); is it set up and somebody logged in? Or leave "
            f"--track {name} out"
        ) from error
    return tracker
