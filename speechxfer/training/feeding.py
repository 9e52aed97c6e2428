"""From the steps of an epoch to batches on the device, made while the device computes the ones before."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch

from speechxfer.ahead import Ahead
from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.data import batching
from speechxfer.data.augment import FrameMask, frame_mask
from speechxfer.data.manifest import Manifest
from speechxfer.errors import AudioError
from speechxfer.model import SpeechModel
from speechxfer.training.batch_budget import Budget
from speechxfer.training.checkpoint import Position
from speechxfer.training.distributed import World
from speechxfer.training.inputs import Inputs, Key, Loaded

_T = TypeVar("_T")
#: Steps that are ready before they are needed.
_AHEAD = 3


@dataclass(frozen=True)
class Examples:
    """Data that is trained or measured on: inputs at the seam, the lines of the manifest, and their labels."""

    inputs: Inputs
    manifest: Manifest
    targets: list[list[int]]


class Step(NamedTuple):
    """The utterances of one optimizer step, and the pass over the training set (from 0) that it belongs to."""

    indices: list[int]
    data_pass: int


@dataclass(frozen=True)
class Batch:
    """Utterances that are computed together, on their way to the seam."""

    indices: Sequence[int]
    loaded: Loaded
    mask: FrameMask | None
    targets: list[list[int]]

    def learnable(self, model: SpeechModel) -> list[bool]:
        """Whether each utterance has enough frames for its labels; the others are not trained on."""
        frames = model.encoder.output_frames(self.loaded.num_frames).tolist()
        return [model.head.learnable(row, count) for row, count in zip(self.targets, frames, strict=True)]

    def num_labels(self, model: SpeechModel) -> int:
        """How many labels of it are trained on."""
        learnable = zip(self.targets, self.learnable(model), strict=True)
        return sum(model.head.num_labels(row) for row, is_learnable in learnable if is_learnable)


def load(
    examples: Examples, indices: Sequence[int], epoch: int, width: int, augment: AugmentConfig | None, seed: int
) -> Batch:
    """Read a batch and draw its SpecAugment masks, on the CPU.

    Where spectrograms are augmented, hidden states at the seam are not.

    Args:
        width: how many channels may be masked; 0 for none.
    """
    loaded = examples.inputs.load(indices, epoch)
    seeds = [(seed, epoch, index) for index in indices]
    at_seam = augment if examples.inputs.augment is None else None
    mask = frame_mask(seeds, loaded.num_frames, width, at_seam) if at_seam else None
    return Batch(indices, loaded, mask, [examples.targets[index] for index in indices])


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, copied without waiting for it."""
    return replace(batch, loaded=batch.loaded.to(device))


class Feeder:
    """Divides the training data into steps, shares of processes, and batches that fit the device, and reads them.

    Args:
        examples: the training data; replaced when the seam moves.
        model: the one that is trained.
        training, augment: settings of the run.
        budget: how much the device computes at once.
        world: the processes.
    """

    def __init__(
        self, examples: Examples, model: SpeechModel, training: TrainingConfig, augment: AugmentConfig, *,
        budget: Budget, world: World,
    ) -> None:  # fmt: skip
        self.examples, self._model, self._training, self._augment = examples, model, training, augment
        self._budget, self._world = budget, world
        #: How many steps each pass has, as far as it is known.
        self._sizes: list[int] = []

    def keys(self, epoch: int) -> list[Key]:
        """The copy of each utterance that is used in an epoch."""
        copies = self.examples.inputs.copies
        return [copies.used_in(epoch, index) for index in range(len(self.examples.manifest))]

    def steps(self, position: Position) -> list[Step]:
        """The steps of the epoch at a position: a pass, or as many as it says from where the epoch before ended."""
        if not position.steps_per_epoch:
            return self._passed(position.epoch)
        found: list[Step] = []
        skipped, data_pass = position.step - position.batch, 0
        while len(found) < position.steps_per_epoch:
            if data_pass == len(self._sizes):
                self._sizes.append(len(self._passed(data_pass)))
            if skipped < self._sizes[data_pass]:
                found += self._passed(data_pass)[skipped:]
            skipped, data_pass = max(skipped - self._sizes[data_pass], 0), data_pass + 1
        return found[: position.steps_per_epoch]

    def _passed(self, data_pass: int) -> list[Step]:
        """The steps of a pass."""
        lengths = list(map(self.examples.inputs.copies.duration_s, self.keys(data_pass)))
        training = self._training
        found = batching.steps(lengths, training.batch_seconds, seed=training.seed, epoch=data_pass)
        return [Step(indices, data_pass) for indices in found]

    def padding(self, steps: Sequence[Step]) -> float:
        """The fraction of what this process computes in these steps that is padding."""
        pieces = [(piece, data_pass) for indices, data_pass in steps for piece in self._pieces(indices, data_pass)]
        durations = [self._durations_s(*piece) for piece in pieces]
        return batching.padding_share(durations)

    def _durations_s(self, indices: Sequence[int], data_pass: int) -> list[float]:
        copies = self.examples.inputs.copies
        return [copies.duration_s(copies.used_in(data_pass, index)) for index in indices]

    def lengths_s(self, indices: Sequence[int], epoch: int) -> dict[int, float]:
        """Seconds that the encoder computes for utterances in an epoch."""
        copies = self.examples.inputs.copies
        return {index: copies.computed_s(copies.used_in(epoch, index)) for index in indices}

    def feed(
        self, steps: Sequence[Step]
    ) -> Generator[tuple[Step, list[Batch]], None, None] | Ahead[tuple[Step, list[Batch]]]:
        """Each step with the batches that this process computes of it, on the device."""
        made = ((step, self.batches(*step)) for step in steps)
        # A CPU has no core to spare for it.
        return made if self._model.device.type == "cpu" else Ahead(made, _AHEAD)

    def batches(self, indices: Sequence[int], epoch: int) -> list[Batch]:
        """This process's share of a step, on the device."""
        found = (self.batch(piece, epoch) for piece in self._pieces(indices, epoch))
        return [batch for batch in found if batch is not None]

    def batch(self, indices: Sequence[int], epoch: int) -> Batch | None:
        """Utterances as one batch, on the device, without those that cannot be read; None where no other is left."""
        copies, width = self.examples.inputs.copies, self._model.encoder.maskable_width(self.examples.inputs.seam)
        # Only now, so that what is computed together is the same whether or not this process knows them yet.
        indices = [index for index in indices if index not in copies.unreadable]
        if not indices:
            return None
        try:
            batch = load(self.examples, indices, epoch, width, self._augment, self._training.seed)
        except AudioError:
            if all(map(copies.is_readable, indices)):
                raise
            return self.batch(indices, epoch)
        return moved(batch, self._model.device)

    def _pieces(self, indices: Sequence[int], epoch: int) -> list[list[int]]:
        lengths = self.lengths_s(indices, epoch)
        mine = batching.share(indices, lengths, self._world.rank, self._world.size)
        return self._budget.split(mine, lengths)


class Waited:
    """Seconds spent waiting for data."""

    seconds = 0.0

    def count(self, items: Iterable[_T]) -> Iterator[_T]:
        """Pass items on and time the waiting."""
        iterator = iter(items)
        while True:
            started = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.monotonic() - started
            yield item
