"""Where a run stands and what it works on, as its callbacks see it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from speechxfer.config import TrainingConfig
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.runs import Epoch, RunFolder
from speechxfer.training.checkpoint import Position
from speechxfer.training.distributed import World
from speechxfer.training.figures import StepFigures
from speechxfer.training.measuring import Measured
from speechxfer.training.optimizer import Rates


@dataclass
class TrainingState:
    """The state of a run between its steps; the same object in every hook of every callback."""

    model: SpeechModel
    config: TrainingConfig
    #: The run's folder.
    folder: RunFolder
    progress: Progress
    world: World
    rates: Rates
    #: What a checkpoint holds beside weights and moments.
    position: Position
    #: Sends logged figures to all callbacks.
    send: Callable[[Mapping[str, float], int], None]
    #: The current epoch, from 1, and how many steps it has.
    epoch: int = 1
    steps_in_epoch: int = 0
    #: The steps that became known since the last `on_figures`.
    recent: Sequence[StepFigures] = ()
    #: The last validation: of dev, and of what is to be retained, where there is something.
    dev: Measured | None = None
    retained: Measured | None = None
    #: Whether the last validation was the best so far.
    is_best: bool = False
    #: The epoch's line of the history: "loss", "dev_wer" and so on.
    figures: Epoch = field(default_factory=dict)
    #: Fraction of the epoch's time spent waiting for data, and of what was computed that is padding.
    waited: float = 0.0
    padding: float = 0.0
    #: Why the run is to stop; None while it goes on.
    stop_reason: str | None = None
    #: What ended the run, where it did not end by itself.
    error: BaseException | None = None
    _timed_since: float | None = None

    @property
    def step(self) -> int:
        """Steps done in the whole run."""
        return self.position.step

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints, where there are several."""
        return self.world.is_main

    @property
    def learning_rates(self) -> dict[str, float]:
        """The highest learning rate at the last step of "encoder" and "head", as far as they are trained."""
        return self.rates.highest({"encoder": self.model.encoder, "head": self.model.head})

    def stop(self, reason: str = "a callback asked for it") -> None:
        """End the run after this step, or the first one: dev is decoded and a checkpoint written, as after an epoch.

        One process is enough where there are several; they stop together, on GPUs up to 20 steps later.
        """
        self.stop_reason = reason

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Send figures to TensorBoard and the other trackers; `step` is the present one unless given.

        In a run of several processes only the main one's are kept.
        """
        self.send(values, self.step if step is None else step)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count the seconds spent here as training, for the run's figures."""
        self._timed_since = time.monotonic()
        try:
            yield
        finally:
            self._count()
            self._timed_since = None

    @contextlib.contextmanager
    def untimed(self) -> Iterator[None]:
        """Inside `timed`: do not count what is done here."""
        is_timed = self._timed_since is not None
        self._count()
        try:
            yield
        finally:
            self._timed_since = time.monotonic() if is_timed else None

    def _count(self) -> None:
        if self._timed_since is not None:
            self.position.training_s += time.monotonic() - self._timed_since
