"""The learning rate as a function of how far a run is."""

from __future__ import annotations


def rate_factor(share_done: float, warmup: float) -> float:
    """What the peak rate is multiplied by: a straight rise, then a straight fall to nothing."""
    if share_done < warmup:
        return share_done / warmup
    return (1.0 - share_done) / (1.0 - warmup)
