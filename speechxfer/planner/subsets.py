"""An order of the training data in which every beginning of it stands for the whole."""

from __future__ import annotations

import random
from collections import defaultdict

from speechxfer.data.manifest import Manifest, Utterance


def nested(manifest: Manifest, *, seed: int = 0) -> Manifest:
    """The utterances in an order of which every beginning has all lengths, speakers and classes as the whole has them.

    So trials on more and more data are on nested subsets.

    Args:
        manifest: with known durations.
    """
    groups: dict[tuple[str | None, str | None], list[Utterance]] = defaultdict(list)
    for utterance in manifest:
        groups[utterance.label, utterance.speaker].append(utterance)
    generator = random.Random(seed)
    placed: list[tuple[float, Utterance]] = []
    for group in groups.values():
        # Without the shift, every group would begin with its shortest.
        shift, by_length = generator.random(), sorted(group, key=lambda one: one.duration or 0.0)
        order = sorted(range(len(by_length)), key=lambda index: (_reversed_bits(index) + shift) % 1.0)
        placed += [((place + shift) / len(order), by_length[index]) for place, index in enumerate(order)]
    return manifest.holding(utterance for _, utterance in sorted(placed, key=lambda one: one[0]))


def beginning(manifest: Manifest, seconds: float, *, fewest: int = 1) -> int:
    """How many utterances from the first on have so many seconds together; all of them where there are not as many."""
    total = 0.0
    for count, utterance in enumerate(manifest, start=1):
        total += utterance.duration or 0.0
        if total >= seconds and count >= fewest:
            return count
    return len(manifest)


def _reversed_bits(number: int) -> float:
    """Van der Corput's sequence (1935): 0, 1/2, 1/4, 3/4, 1/8, …, whose every beginning is spread over 0 to 1."""
    value, half = 0.0, 0.5
    while number:
        value, half, number = value + half * (number % 2), half / 2, number // 2
    return value
