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
    """What a peak rate is multiplied by: a straight rise, then a straight fall to nothing.

    Weights that are frozen at first rise from where they wake, at `begun`, and fall with the others: at once at the
    full rate, Adam's first steps, which know no gradient but the last, would undo what they know.
    """
    fall = (1.0 - share_done) / (1.0 - warmup)
    return max(0.0, min((share_done - begun) / warmup, fall)) if warmup else fall


class Rates:
    """The learning rates of an optimiser's groups in the course of a run.

    Args:
        optimizer: its groups have their peak rates, and in `wakes` the epoch (from 0) from which they are trained.
        warmup: share of the run in which rates rise.
        epochs: of the run.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup: float, epochs: int) -> None:
        self._groups, self._warmup = optimizer.param_groups, warmup
        self._peaks = [(group["lr"], group["wakes"] / epochs) for group in self._groups]

    def set(self, share_done: float, scale: float) -> None:
        """Give every group its rate at this share of the run, `scale` times what it usually is there."""
        for group, (peak, begun) in zip(self._groups, self._peaks, strict=True):
            group["lr"] = peak * rate_factor(share_done, self._warmup, begun) * scale

    def highest(self, parts: Mapping[str, nn.Module]) -> dict[str, float]:
        """The highest present rate of each part's parameters; without the parts of which nothing is trained."""
        found = {}
        for name, part in parts.items():
            own = set(part.parameters())
            of_part = [group["lr"] for group in self._groups if own & set(group["params"])]
            if of_part:
                found[name] = max(of_part)
        return found
