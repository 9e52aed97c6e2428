"""A run that was begun in a trial of the planner: what was trained there is its first checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from speechxfer.heads.base import Head
from speechxfer.training import checkpoint
from speechxfer.training.checkpoint import Position
from speechxfer.training.job import Job


@dataclass(frozen=True)
class Beginning:
    """What a trial has trained at the full learning rate."""

    #: Of weights and moments, as `checkpoint.collected` has them.
    tensors: dict[str, Tensor]
    #: The steps that were taken, and the epochs of the run that they stand for.
    step: int
    epoch: int
    #: The description of the head, which says what its labels are.
    head: Mapping[str, Any]

    def write(self, job: Job, head: Head) -> None:
        """Write the first checkpoint of a run, unless its head has other labels than that of the trial.

        Raises:
            StorageError: the disk is full or read-only.
        """
        if self.head != head.describe():
            job.progress.log("the run has other labels than the trial, so it begins with the pre-trained model")
            return
        position = Position(self.epoch, step=self.step, steps_per_epoch=job.config.training.steps_per_epoch)
        checkpoint.save(job.folder.checkpoints, self.tensors, position)
        job.progress.log(f"training goes on from the trial of {self.step} steps, in epoch {self.epoch + 1}")
