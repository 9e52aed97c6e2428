"""Batching by seconds of audio.

An optimizer step is a set of utterances of similar length. Its division over processes and into batches that fit a
device changes rounding only. Everything is a function of lengths, budgets and a seed, so that every step can be
reproduced after an interruption.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

#: Seconds of each utterance by its index.
Lengths = Sequence[float] | Mapping[int, float]

#: Length at which attention, which is quadratic, costs as much as all linear parts.
_QUADRATIC_S = 40.0
#: Lengths are jittered by this fraction before sorting, so that steps differ between epochs.
_JITTER = 0.03
#: Most padding of a batch, as a fraction of it, where more utterances in a batch are no faster than two batches.
MOST_PADDING = 0.05


def cost_s(duration_s: float) -> float:
    """The cost of an utterance, in equivalent seconds of short audio."""
    return duration_s * (1.0 + duration_s / _QUADRATIC_S)


def steps(durations_s: Sequence[float], budget_s: float, *, seed: int, epoch: int) -> list[list[int]]:
    """The optimizer steps of one epoch, as indices: utterances of similar length together, steps in random order.

    The padded cost of a step is at most `budget_s`; an utterance that exceeds it is a step of its own.
    """
    generator = random.Random(f"{seed}/{epoch}")
    jittered = [duration * (1.0 + generator.uniform(-_JITTER, _JITTER)) for duration in durations_s]
    order = sorted(range(len(durations_s)), key=lambda index: -jittered[index])
    found: list[list[int]] = []
    longest = 0.0
    for index in order:
        longest = max(longest, durations_s[index])
        if found and (len(found[-1]) + 1) * cost_s(longest) <= budget_s:
            found[-1].append(index)
        else:
            found.append([index])
            longest = durations_s[index]
    generator.shuffle(found)
    return found


def share(step: Sequence[int], durations_s: Lengths, rank: int, size: int) -> list[int]:
    """The part of a step that process `rank` of `size` computes: about as many seconds as every other."""
    order = _by_length(step, durations_s)
    # Alternating directions, so that no process always gets the longer of two utterances.
    return [index for place, index in enumerate(order) if min(place % (2 * size), ~place % (2 * size)) == rank]


def batches(
    indices: Sequence[int], durations_s: Lengths, budget_s: float, most_padding: float = MOST_PADDING
) -> list[list[int]]:
    """The indices, longest first, in batches of a padded cost of at most `budget_s` and with at most so much padding.

    An utterance that exceeds the budget is a batch of its own.
    """
    found: list[list[int]] = []
    longest = padding = 0.0
    for index in _by_length(indices, durations_s):
        padding += longest - durations_s[index]
        count = len(found[-1]) + 1 if found else 0
        if found and count * cost_s(longest) <= budget_s and padding <= most_padding * count * longest:
            found[-1].append(index)
        else:
            found.append([index])
            longest, padding = durations_s[index], 0.0
    return found


def padding_share(batches_s: Sequence[Sequence[float]]) -> float:
    """The fraction of padding in the padded seconds of batches, of which the seconds of each utterance are given."""
    padded = sum(len(batch) * max(batch) for batch in batches_s)
    valid = sum(map(sum, batches_s))
    return 1.0 - valid / padded if padded else 0.0


def _by_length(indices: Sequence[int], durations_s: Lengths) -> list[int]:
    return sorted(indices, key=lambda index: -durations_s[index])
