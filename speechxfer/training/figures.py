"""Losses and gradient norms of steps, fetched from the device for several steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from speechxfer.training.checkpoint import Position
from speechxfer.training.step import StepResult

#: Steps after which a device is asked; asking makes a GPU wait.
_MOST_PENDING = {"cpu": 1, "cuda": 20}


@dataclass(frozen=True)
class StepFigures:
    """What a step gave, over all processes."""

    #: Counted from 1, over the whole run.
    step: int
    #: Per label.
    loss: float
    #: Before clipping.
    gradient_norm: float
    #: Indices in the training manifest.
    utterances: Sequence[int]


class PendingFigures:
    """Results of the last steps that are still on the device."""

    def __init__(self, device: torch.device) -> None:
        self._most = _MOST_PENDING.get(device.type, 20)
        self._results: list[StepResult] = []

    @property
    def is_full(self) -> bool:
        """Whether it is time to ask the device."""
        return len(self._results) >= self._most

    def add(self, result: StepResult) -> None:
        """Keep the result of a step on the device."""
        self._results.append(result)

    def clear(self) -> None:
        """Drop the results of steps that no longer count."""
        self._results.clear()

    def collect(self, position: Position) -> list[StepFigures]:
        """The figures of the pending steps, of which `position` is the last; they are added to its epoch's sums."""
        if not self._results:
            return []
        rows = torch.stack([torch.cat([one.summed, one.norm.to(one.summed)[None]]) for one in self._results]).tolist()
        first = position.step - len(rows) + 1
        found = []
        for number, (result, (loss, labels, norm)) in enumerate(zip(self._results, rows, strict=True), first):
            position.loss += loss * labels
            position.labels += int(labels)
            position.norm += norm
            found.append(StepFigures(number, loss, norm, result.indices))
        self._results.clear()
        return found
