"""What a head says of one waveform; times are seconds from that waveform's start."""

from __future__ import annotations

from dataclasses import dataclass


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
