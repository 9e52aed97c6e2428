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
    """A text from `start` to `end`, in seconds; it is one line and never empty."""

    start: float
    end: float
    text: str
    #: Who speaks, if the file names somebody.
    speaker: str | None = None
    #: The beginning of every message about it: "talk.srt:12".
    origin: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Tier:
    """Intervals under one name, sorted by their starts; they may overlap. A point ends where it starts."""

    name: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Media:
    """A recording that a file names: its paths as they are written, and when in it the time of the file is 0."""

    paths: tuple[str, ...]
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Annotations:
    """The tiers of a file, and the recordings that it names."""

    tiers: tuple[Tier, ...]
    media: tuple[Media, ...] = ()

    @property
    def intervals(self) -> list[Interval]:
        """The intervals of all tiers, sorted by their starts."""
        return sorted((one for tier in self.tiers for one in tier.intervals), key=_place)


def tier_of(name: str, intervals: Iterable[Interval], warn: Warn) -> Tier:
    """A tier of those intervals that have a text and a duration, from 0 on; what has no duration is a warning."""
    return Tier(name, tuple(sorted(_usable(intervals, warn), key=_place)))


def tier_of_points(name: str, points: Iterable[Interval]) -> Tier:
    """A tier of those points that have a text."""
    return Tier(name, tuple(sorted(_with_text(points), key=_place)))


def _place(interval: Interval) -> tuple[float, float]:
    return interval.start, interval.end


def _usable(intervals: Iterable[Interval], warn: Warn) -> Iterator[Interval]:
    for one in _with_text(intervals):
        seen = f"{one.origin}: {one.text!r:.60} from {one.start:g} s to {one.end:g} s"
        if not (max(one.start, 0) < one.end < math.inf):
            warn(f"{seen} is skipped; wanted an end after its start and after 0", "an interval without a duration")
        elif one.start < 0:
            warn(f"{seen} begins before the recording; its start becomes 0", "a negative start")
            yield dataclasses.replace(one, start=0.0)
        else:
            yield one


def _with_text(intervals: Iterable[Interval]) -> Iterator[Interval]:
    for one in intervals:
        if text := " ".join(one.text.split()):
            yield one if text == one.text else dataclasses.replace(one, text=text)
