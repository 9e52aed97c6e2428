"""What optimizer steps cost, measured on a few of them: below the seam and above it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from speechxfer.config import AugmentConfig, FinetuneConfig, TrainingConfig
from speechxfer.data import batching
from speechxfer.data.loading import durations_s
from speechxfer.errors import DataError
from speechxfer.training.feeding import Examples
from speechxfer.training.inputs import Copies, Inputs, LiveInputs, Loaded
from speechxfer.training.starting_point import StartingPoint
from speechxfer.training.step import TrainStep

#: Steps that are timed after one that warms up.
_TIMED = 3


class StepTime(NamedTuple):
    """Seconds of a step."""

    #: Of reading the audio and computing below the seam, which is done once where that is kept.
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
        self._take_step.model.train()
        self._timed.seconds, begun = 0.0, self._now()
        batch = self._take_step.feeder.batch(indices, 0)
        if batch is None:
            return None
        self._take_step(indices, [batch], epoch=0, number=0)
        return StepTime(self._timed.seconds, self._now() - begun - self._timed.seconds)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()


class _TimedInputs:
    """Inputs that add up the seconds spent on reading and below the seam.

    Args:
        inputs: whose reading and computing is timed.
        now: the time in seconds, once the device has done its work.
    """

    def __init__(self, inputs: Inputs, now: Callable[[], float]) -> None:
        self._inputs, self._now = inputs, now
        self.copies, self.seam, self.augment = inputs.copies, inputs.seam, inputs.augment
        self.seconds = 0.0

    def load(self, indices: Sequence[int], epoch: int) -> Loaded:
        begun = self._now()
        loaded = self._inputs.load(indices, epoch)
        self.seconds += self._now() - begun
        return loaded

    def at_seam(self, loaded: Loaded) -> Tensor:
        begun = self._now()
        hidden_states = self._inputs.at_seam(loaded)
        self.seconds += self._now() - begun
        return hidden_states


def time_steps(
    start: StartingPoint, config: FinetuneConfig, precision: torch.dtype, epoch: int, most_s: float
) -> StepTime:
    """The mean time of a few steps, or of one where they take long, after one that warms up.

    Args:
        start: the model, on its device; its weights move.
        config: settings of the run.
        precision: of the forward pass.
        epoch: whose plan is applied, from 0.
        most_s: seconds after which no further step is timed, once there is one.

    Raises:
        DataError: none of the utterances that are tried can be read.
    """
    start.plan.apply(start.model, epoch)
    copies = Copies(start.train, start.model.encoder, 0, config.training.seed)
    inputs = LiveInputs(start.model.encoder, start.plan.seam_at(epoch), copies, config.augment)
    timer = StepTimer(start, inputs, config.training, config.augment, precision)
    steps, begun, found = steps_of(start, config.training), time.monotonic(), []
    for indices in steps[:: math.ceil(len(steps) / (_TIMED + 1))]:
        if (one := timer.time(indices)) is not None:
            found.append(one)
        if len(found) > 1 and time.monotonic() - begun > most_s:
            break
    if not found:
        raise DataError("train: some utterances of each part were tried and none can be read, so no step can be timed; `speechxfer check` lists why")  # fmt: skip  # noqa: E501
    timed = found[1:] or found
    return StepTime(*(sum(part) / len(timed) for part in zip(*timed, strict=True)))


def steps_of(start: StartingPoint, training: TrainingConfig) -> list[list[int]]:
    """The steps of a pass over the training set."""
    lengths = durations_s(start.train, start.model.encoder.max_duration_s)
    return batching.steps(lengths, training.batch_seconds, seed=training.seed, epoch=0)
