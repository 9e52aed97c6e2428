"""Intervals of a recording with their texts, in tiers; times are seconds from the beginning of the recording."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Warn = Callable[[str, str], None]
"""Called with a warning, and the kind of it (`Progress.warn`)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A text from `start` to `end`, in seconds; the text is one line and may be empty."""

    start: float
    end: float
    text: str
    #: The beginning of every message about it: "talk.srt:12".
    origin: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Tier:
    """Intervals under one name, sorted by their starts; they may overlap."""

    name: str
    intervals: tuple[Interval, ...]
    #: Who speaks, if the file names somebody.
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Annotations:
    """The tiers of a file, and the recordings that it names, as it writes their paths."""

    tiers: tuple[Tier, ...]
    media: tuple[str, ...] = ()

    @property
    def intervals(self) -> list[Interval]:
        """The intervals of all tiers, sorted by their starts."""
        return sorted((one for tier in self.tiers for one in tier.intervals), key=_place)


def sorted_usable(intervals: Iterable[Interval], warn: Warn) -> tuple[Interval, ...]:
    """The intervals that have a duration, sorted by their starts, from 0 on; each other one is a warning."""
    return tuple(sorted(_usable(intervals, warn), key=_place))


def _place(interval: Interval) -> tuple[float, float]:
    return interval.start, interval.end


def _usable(intervals: Iterable[Interval], warn: Warn) -> Iterator[Interval]:
    for one in intervals:
        seen = f"{one.origin}: {one.text!r:.60} from {one.start:g} s to {one.end:g} s"
        if not (max(one.start, 0) < one.end < math.inf):
            warn(f"{seen} is skipped; wanted an end after its start and after 0", "an interval without a duration")
        elif one.start < 0:
            warn(f"{seen} begins before the recording; its start becomes 0", "a negative start")
            yield dataclasses.replace(one, start=0.0)
        else:
            yield one
