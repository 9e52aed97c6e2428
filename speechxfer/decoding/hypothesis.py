"""Predictions for one waveform: a transcript or classes. Times are seconds from the start of that waveform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its time in seconds and, where known, the model's confidence in [0, 1]."""

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The transcript of one waveform."""

    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """The probability of each class for one waveform, in the order of the model's labels."""

    labels: tuple[str, ...]
    #: In [0, 1]; they add up to one, unless several classes may hold at once.
    probabilities: tuple[float, ...]
    #: Whether several may.
    multi_label: bool = False

    @property
    def label(self) -> str:
        """The most likely class; where several may hold, those that are likelier than not, as "a|b"."""
        return "|".join(self.chosen)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The most likely class; where several may hold, those that are likelier than not, perhaps none."""
        if not self.multi_label:
            return (self.top(1)[0][0],)
        pairs = zip(self.labels, self.probabilities, strict=True)
        return tuple(label for label, probability in pairs if probability > 0.5)

    def top(self, count: int) -> list[tuple[str, float]]:
        """The `count` most likely classes with their probabilities, the most likely first."""
        pairs = zip(self.labels, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: -pair[1])[:count]


Prediction: TypeAlias = Hypothesis | Classification
