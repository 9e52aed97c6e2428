"""The optimiser, and the learning rate as a function of how far a run is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def adamw(groups: Iterable[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) with all parameters updated in one kernel, on a CPU as well."""
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def rate_factor(share_done: float, warmup: float) -> float:
    """What the peak rate is multiplied by: a straight rise, then a straight fall to nothing."""
    if share_done < warmup:
        return share_done / warmup
    return (1.0 - share_done) / (1.0 - warmup)


def highest_rates(optimizer: torch.optim.Optimizer, parts: Mapping[str, nn.Module]) -> dict[str, float]:
    """The highest learning rate of each part's parameters now; without the parts of which nothing is trained."""
    held = {name: set(part.parameters()) for name, part in parts.items()}
    rates = {name: [group["lr"] for group in optimizer.param_groups if own & set(group["params"])] for name, own in held.items()}  # fmt: skip  # noqa: E501
    return {name: max(found) for name, found in rates.items() if found}
