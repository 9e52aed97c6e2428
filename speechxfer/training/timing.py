"""What optimizer steps cost, measured on a few of them: below the seam and above it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.training.feeding import Examples
from speechxfer.training.inputs import Inputs, Loaded
from speechxfer.training.starting_point import StartingPoint
from speechxfer.training.step import TrainStep


class StepTime(NamedTuple):
    """Seconds of computation below the seam, and above it."""

    below: float
    above: float


class StepTimer:
    """Takes steps of a run and times them; the weights move, so it is for a model that is put back or thrown away.

    Args:
        start: the model, on its device, with the plan applied.
        inputs: of the training set.
        training, augment: settings of the run.
        precision: of the forward pass.
    """

    def __init__(
        self, start: StartingPoint, inputs: Inputs, training: TrainingConfig, augment: AugmentConfig,
        precision: torch.dtype,
    ) -> None:  # fmt: skip
        self._device = start.model.device
        self._timed = _TimedInputs(inputs, self._now)
        targets = [start.model.head.targets(utterance) for utterance in start.train]
        examples = Examples(self._timed, start.train, targets)
        self._take_step = TrainStep(start.model, start.plan, examples, training, augment, precision=precision)

    def time(self, indices: Sequence[int]) -> StepTime | None:
        """Take one step, computed at once; None where none of its utterances can be read."""
        batch = self._take_step.feeder.batch(indices, 0)
        if batch is None:
            return None
        self._take_step.model.train()
        self._timed.seconds, begun = 0.0, self._now()
        self._take_step(indices, [batch], epoch=0, number=0)
        return StepTime(self._timed.seconds, self._now() - begun - self._timed.seconds)

    def total(self, steps: Iterable[Sequence[int]]) -> StepTime | None:
        """The time of several steps together; None where none of them can be read."""
        found = [one for step in steps if (one := self.time(step))]
        return StepTime(*map(sum, zip(*found, strict=True))) if found else None

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()


class _TimedInputs:
    """Inputs that add up the seconds spent below the seam.

    Args:
        inputs: whose reading and computing is timed.
        now: the time in seconds, once the device has done its work.
    """

    def __init__(self, inputs: Inputs, now: Callable[[], float]) -> None:
        self._inputs, self._now = inputs, now
        self.copies, self.seam, self.augment = inputs.copies, inputs.seam, inputs.augment
        self.seconds = 0.0

    def load(self, indices: Sequence[int], epoch: int) -> Loaded:
        return self._inputs.load(indices, epoch)

    def at_seam(self, loaded: Loaded) -> Tensor:
        begun = self._now()
        hidden_states = self._inputs.at_seam(loaded)
        self.seconds += self._now() - begun
        return hidden_states
