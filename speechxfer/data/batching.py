"""Which utterances go together: by seconds of audio, never by count.

An optimiser step is a set of utterances of like length; how it is dealt over processes and cut into batches that fit
a device changes nothing but rounding. Everything here is a function of lengths, budgets and a seed, so that any
step of any epoch can be named again after an interruption.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

#: Seconds of each utterance, by its index.
Lengths = Sequence[float] | Mapping[int, float]

#: Length at which attention, quadratic in it, costs as much as everything linear.
_QUADRATIC_S = 40.0
#: Lengths are blurred by this share before sorting, so that neighbours change from epoch to epoch.
_BLUR = 0.03
#: No batch is padded by more than this share of itself.
_MOST_PADDING = 0.05


def cost_s(duration_s: float) -> float:
    """What an utterance costs, in seconds of short audio."""
    return duration_s * (1.0 + duration_s / _QUADRATIC_S)


def steps(durations_s: Sequence[float], budget_s: float, *, seed: int, epoch: int) -> list[list[int]]:
    """The optimiser steps of one epoch, as indices: neighbours in length together, steps in random order.

    The padded cost of a step stays within `budget_s`; an utterance that exceeds it on its own makes a step of one.
    """
    chance = random.Random(f"{seed}/{epoch}")
    blurred = [duration * (1.0 + chance.uniform(-_BLUR, _BLUR)) for duration in durations_s]
    order = sorted(range(len(durations_s)), key=lambda index: -blurred[index])
    found: list[list[int]] = []
    longest = 0.0
    for index in order:
        longest = max(longest, durations_s[index])
        if found and (len(found[-1]) + 1) * cost_s(longest) <= budget_s:
            found[-1].append(index)
        else:
            found.append([index])
            longest = durations_s[index]
    chance.shuffle(found)
    return found


def share(step: Sequence[int], durations_s: Lengths, rank: int, size: int) -> list[int]:
    """What one of `size` processes computes of a step: about as many seconds as every other."""
    order = _by_length(step, durations_s)
    # There and back again, so that no process always gets the longer of two neighbours.
    return [index for place, index in enumerate(order) if min(place % (2 * size), ~place % (2 * size)) == rank]


def batches(indices: Sequence[int], durations_s: Lengths, budget_s: float) -> list[list[int]]:
    """The indices, longest first, in batches whose padded cost stays within `budget_s` and that waste little.

    An utterance that exceeds the budget on its own makes a batch of one.
    """
    found: list[list[int]] = []
    longest = padding = 0.0
    for index in _by_length(indices, durations_s):
        padding += longest - durations_s[index]
        count = len(found[-1]) + 1 if found else 0
        if found and count * cost_s(longest) <= budget_s and padding <= _MOST_PADDING * count * longest:
            found[-1].append(index)
        else:
            found.append([index])
            longest, padding = durations_s[index], 0.0
    return found


def padding_share(durations_s: Lengths, cut: Sequence[Sequence[int]]) -> float:
    """The share of all padded seconds in these batches that is padding."""
    padded = sum(len(batch) * max(durations_s[index] for index in batch) for batch in cut)
    valid = sum(durations_s[index] for batch in cut for index in batch)
    return 1.0 - valid / padded if padded else 0.0


def _by_length(indices: Sequence[int], durations_s: Lengths) -> list[int]:
    return sorted(indices, key=lambda index: -durations_s[index])
