"""The transcript of a recording; times are seconds from its beginning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from speechxfer.data.characters import joined
from speechxfer.decoding.hypothesis import Word

SHORTEST_WORD_S = 0.01
"""No word is shorter than this."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the recording that was transcribed at once; `words` is empty where the model gives no word times."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times rounded to milliseconds, confidences to four digits."""
        return {**_spoken(self), "words": [_spoken(word) for word in self.words]}


def text_of(segments: Iterable[Segment]) -> str:
    """The text of some segments, as their script writes it."""
    return joined(segment.text for segment in segments)


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a recording, its segments, its duration in seconds and its source: a path, if there is one."""

    text: str
    segments: tuple[Segment, ...]
    duration: float
    source: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times rounded to milliseconds, confidences to four digits."""
        return {
            "source": self.source,
            "duration": round(self.duration, 3),
            "text": self.text,
            "segments": [segment.to_dict() for segment in self.segments],
        }


def _spoken(part: Segment | Word) -> dict[str, Any]:
    return {
        "start": round(part.start, 3),
        "end": round(part.end, 3),
        "text": part.text,
        "confidence": None if part.confidence is None else round(part.confidence, 4),
    }
