"""What an exported model is compared with its original on, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RATE = 16_000


@dataclass(frozen=True)
class Parity:
    """How far an export is from its original."""

    #: Sounds that both transcribed, and those they wrote the same text for.
    sounds: int
    same_text: int
    #: Largest difference of hidden states, as a share of the largest value.
    difference: float

    def __str__(self) -> str:
        return (
            f"{self.same_text} of {self.sounds} sounds give the same text; hidden states differ by at most "
            f"{self.difference:.1e} of their largest value"
        )


def sounds() -> list[np.ndarray]:
    """A few waveforms that are all but alike: tones that glide, noise that swells, clicks, one of them very short."""
    chance = np.random.default_rng(0)
    found = []
    for number, seconds in enumerate((0.4, 1.5, 3.0, 8.0)):
        time = np.arange(int(seconds * _RATE)) / _RATE
        glide = np.sin(2 * np.pi * (200 + 150 * number + 300 * time / seconds) * time)
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time)
        noise = chance.standard_normal(len(time)) * 0.1
        found.append(((0.4 * glide + noise) * swell * 0.5).astype(np.float32))
    return found
