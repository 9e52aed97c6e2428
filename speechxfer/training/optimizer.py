"""The optimizer, and the learning rate as a function of the fraction of the run that is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from speechxfer.training.sharding import is_sharded


def adamw(groups: Iterable[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with all parameters updated in one kernel, on a CPU as well."""
    return torch.optim.AdamW(_alike(groups), betas=(0.9, 0.98), fused=True)


def _alike(groups: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Groups of parameters that are all divided over the processes, or all not: no kernel takes both."""
    for group in groups:
        for kind in (False, True):
            if chosen := [one for one in group["params"] if is_sharded([one]) is kind]:
                yield {**group, "params": chosen}


def rate_factor(done: float, warmup: float, begun: float = 0.0) -> float:
    """The factor of a peak rate: a linear rise, then a linear fall to 0.

    The rate of weights that are first trained later, from `begun` on, rises from there and falls with the others: at
    the full rate, Adam's first steps, whose moments hold one gradient, would undo what the weights have learned.

    Args:
        done: fraction of the run that is done.
        warmup: fraction of the run in which the rate rises.
        begun: fraction of the run that was done when the weights were first trained.
    """
    fall = (1.0 - done) / (1.0 - warmup)
    return max(0.0, min((done - begun) / warmup, fall)) if warmup else fall


class Rates:
    """The learning rates of an optimizer's groups in the course of a run.

    Args:
        optimizer: its groups have their peak rates, and `first_epoch` (counted from 0).
        warmup: fraction of the run in which rates rise.
        epochs: of the run.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup: float, epochs: int) -> None:
        self._groups, self._warmup = optimizer.param_groups, warmup
        self._peaks = [(group["lr"], group["first_epoch"] / epochs) for group in self._groups]

    def set(self, done: float, scale: float) -> None:
        """Set every group's rate at this fraction of the run, times `scale`."""
        for group, (peak, begun) in zip(self._groups, self._peaks, strict=True):
            group["lr"] = peak * rate_factor(done, self._warmup, begun) * scale

    def highest(self, parts: Mapping[str, nn.Module]) -> dict[str, float]:
        """The highest present rate of each part's parameters; without parts that are not trained."""
        found = {}
        for name, part in parts.items():
            own = set(part.parameters())
            of_part = [group["lr"] for group in self._groups if own & set(group["params"])]
            if of_part:
                found[name] = max(of_part)
        return found
