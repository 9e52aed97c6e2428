"""The optimiser, and the learning rate as a function of how far a run is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def adamw(groups: Iterable[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with all parameters updated in one kernel, on a CPU as well."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def rate_factor(share_done: float, warmup: float, begun: float = 0.0) -> float:
    """The factor of a peak learning rate: a linear warm-up, then a linear decay to zero.

    Weights that are unfrozen later have a warm-up of their own from `begun`, and decay with the others: at the full
    rate, Adam's first steps, whose moments are those of a single gradient, would undo the pre-training.
    """
    fall = (1.0 - share_done) / (1.0 - warmup)
    return max(0.0, min((share_done - begun) / warmup, fall)) if warmup else fall


class Rates:
    """Sets the learning rates of an optimizer's groups during a run.

    Args:
        optimizer: its groups have peak learning rates, and `first_epoch` (counted from 0).
        warmup: fraction of the run that is warm-up.
        epochs: of the run.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup: float, epochs: int) -> None:
        self._groups, self._warmup = optimizer.param_groups, warmup
        self._peaks = [(group["lr"], group["first_epoch"] / epochs) for group in self._groups]

    def set(self, share_done: float, scale: float) -> None:
        """Give every group its rate at this share of the run, `scale` times what it usually is there."""
        for group, rate in zip(self._groups, self._at(share_done, scale), strict=True):
            group["lr"] = rate

    def highest(self, parts: Mapping[str, nn.Module], share_done: float, scale: float) -> dict[str, float]:
        """The highest rate of each part's parameters then; without the parts of which nothing is trained."""
        rates = self._at(share_done, scale)
        found = {}
        for name, part in parts.items():
            own = set(part.parameters())
            of_part = [rate for group, rate in zip(self._groups, rates, strict=True) if own & set(group["params"])]
            if of_part:
                found[name] = max(of_part)
        return found

    def _at(self, share_done: float, scale: float) -> list[float]:
        return [peak * rate_factor(share_done, self._warmup, begun) * scale for peak, begun in self._peaks]
