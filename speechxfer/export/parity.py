"""What an exported model is compared with its original on, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.evaluation.metrics import ErrorRates
from speechxfer.evaluation.results import compare, score

_RATE = 16_000
#: Standard errors to each side in which a normal distribution lies 95 times in 100.
_TWO_SIDED = 1.96
#: Most utterances of a manifest that are compared.
_MOST = 400
#: Most that are examples of what a model is given.
_EXAMPLES = 32


@dataclass(frozen=True)
class Parity:
    """How far an export is from its original."""

    #: Recordings that both transcribed or classified, and those they wrote the same text for.
    sounds: int
    same_text: int
    #: Largest difference of what they computed before the text, as a fraction of the largest value; None where the
    #: runtime does not show it.
    difference: float | None
    #: The name of an error rate, before and after, and of how many words or utterances it is; None without references.
    error: tuple[str, float, float, int] | None = None
    #: By how much chance moves the error rate, 95 times in 100.
    chance: float = 0.0
    #: Size of the exported model in bytes, and of the original; without the network that finds speech.
    sizes: tuple[int, int] | None = None
    #: How many times as fast as the original.
    speed: float | None = None
    #: What else is to be known.
    note: str = ""

    def __str__(self) -> str:
        parts = [f"{self.same_text} of {self.sounds} recordings give the same text"]
        if self.error is not None:
            name, before, after, _ = self.error
            chance = f" (which chance moves by up to {100 * self.chance:.1f} points)" if self.chance else ""
            parts.append(f"{name} {before:.2%} before, {after:.2%} after{chance}")
        if self.difference is not None:
            parts.append(f"outputs differ by at most {self.difference:.1e} of their largest value")
        if self.sizes is not None:
            written, original = self.sizes
            parts.append(f"{written / 1e6:.1f} MB ({written / original:.0%} of the original)")
        if self.speed is not None:
            parts.append(f"{self.speed:.1f} times as fast")
        parts += [self.note] if self.note else []
        return "; ".join(parts)


def chosen(dev: Manifest) -> Manifest:
    """The utterances that are compared: at most 400, spread over the manifest."""
    return dev[:: -(-len(dev) // _MOST)]


def waveforms(dev: Manifest | None) -> list[np.ndarray]:
    """What both are given: utterances of a manifest, or `sounds` without one."""
    return sounds() if dev is None else [read(utterance) for utterance in dev]


def examples(dev: Manifest | None) -> list[np.ndarray]:
    """A few utterances from all over a manifest; without one, none, since synthetic sounds are no example of speech."""
    return [] if dev is None else [read(utterance) for utterance in dev[:: -(-len(dev) // _EXAMPLES)]]


def sounds() -> list[np.ndarray]:
    """A few waveforms that are all but alike: tones that glide, noise that swells, clicks, one of them very short."""
    generator = np.random.default_rng(0)
    found = []
    for number, seconds in enumerate((0.4, 1.5, 3.0, 8.0)):
        time = np.arange(int(seconds * _RATE)) / _RATE
        glide = np.sin(2 * np.pi * (200 + 150 * number + 300 * time / seconds) * time)
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * 4 * time)
        noise = generator.standard_normal(len(time)) * 0.1
        found.append(((0.4 * glide + noise) * swell * 0.5).astype(np.float32))
    return found


def chance_of(dev: Manifest, before: Sequence[Prediction], after: Sequence[Prediction]) -> float:
    """By how much chance moves the error rate from one model to another, 95 times in 100.

    From the standard error of the differences of each utterance's errors, as matched pairs (Gillick & Cox, 1989).
    """
    one, other = (np.array([item.errors for item in compare(dev, found, TextNormalizer()).in_order]) for found in (before, after))  # fmt: skip  # noqa: E501
    _, _, count = error_of(dev, before)
    differences = other - one
    return float(_TWO_SIDED * np.sqrt(len(differences) * differences.var(ddof=1)) / count) if len(one) > 1 else 0.0


def error_of(dev: Manifest, predictions: Sequence[Prediction]) -> tuple[str, float, int]:
    """The name of an error rate of predictions, its value, and how many words or utterances it counts."""
    scores = score(dev, predictions, TextNormalizer())
    name, value = next(iter(scores.summary.items()))
    return name, value, scores.words if isinstance(scores, ErrorRates) else scores.utterances
