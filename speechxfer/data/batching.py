"""Which utterances go together: batches by seconds of audio, never by count.

Everything here is a function of lengths, a budget and a seed, so that any batch of any epoch can be named
again after an interruption.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

#: Length at which attention, quadratic in it, costs as much as everything linear.
_QUADRATIC_S = 40.0
#: Lengths are blurred by this share before sorting, so that neighbours change from epoch to epoch.
_BLUR = 0.03


def cost_s(duration_s: float) -> float:
    """What an utterance costs, in seconds of short audio."""
    return duration_s * (1.0 + duration_s / _QUADRATIC_S)


def by_length(durations_s: Sequence[float], budget_s: float) -> list[list[int]]:
    """Indices of the utterances, longest first, in batches whose padded cost stays within `budget_s`.

    An utterance that exceeds the budget on its own makes a batch of one.
    """
    order = sorted(range(len(durations_s)), key=lambda index: -durations_s[index])
    return _cut(order, durations_s, budget_s)


def shuffled(durations_s: Sequence[float], budget_s: float, *, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: neighbours in length together, batches in random order."""
    chance = random.Random(f"{seed}/{epoch}")
    blurred = [duration * (1.0 + chance.uniform(-_BLUR, _BLUR)) for duration in durations_s]
    order = sorted(range(len(durations_s)), key=lambda index: -blurred[index])
    batches = _cut(order, durations_s, budget_s)
    chance.shuffle(batches)
    return batches


def padding_share(durations_s: Sequence[float], batches: Sequence[Sequence[int]]) -> float:
    """The share of all padded seconds that is padding."""
    padded = sum(len(batch) * max(durations_s[index] for index in batch) for batch in batches)
    valid = sum(durations_s[index] for batch in batches for index in batch)
    return 1.0 - valid / padded if padded else 0.0


def _cut(order: Sequence[int], durations_s: Sequence[float], budget_s: float) -> list[list[int]]:
    batches: list[list[int]] = []
    longest = 0.0
    for index in order:
        longest = max(longest, durations_s[index])
        if batches and (len(batches[-1]) + 1) * cost_s(longest) <= budget_s:
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = durations_s[index]
    return batches
