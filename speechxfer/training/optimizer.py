"""The optimiser, and the learning rate as a function of how far a run is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def adamw(groups: Iterable[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with all parameters updated in one kernel, on a CPU as well."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def rate_factor(share_done: float, warmup: float) -> float:
    """What the peak rate is multiplied by: a straight rise, then a straight fall to nothing."""
    if share_done < warmup:
        return share_done / warmup
    return (1.0 - share_done) / (1.0 - warmup)
