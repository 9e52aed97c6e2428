"""What of a recording is an utterance: the intervals of chosen tiers, as far as the recording goes."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.data.annotations.media import recording_of
from speechxfer.data.annotations.reading import read
from speechxfer.data.annotations.tiers import Annotations, Interval, Tier, Warn
from speechxfer.errors import DataError
from speechxfer.sources import FileSource

#: Lengths of compressed files, and times of subtitles, are not more exact than this.
_TOLERANCE_S = 0.1


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A part of a recording, or all of it if there is no duration, and what is said there; times are in seconds."""

    start: float = 0.0
    duration: float | None = None
    text: str | None = None
    speaker: str | None = None
    origin: str = ""


def annotated_excerpts(
    path: Path, tiers: Sequence[str], warn: Warn, recording: Path | None = None
) -> tuple[Path, list[Excerpt]]:
    """The recording that a file of annotations belongs to, and its excerpts in order.

    The speaker is the one that the file names, or the tier if there are several.

    Args:
        path: of the annotations.
        tiers: names of tiers, or patterns such as `* words`; none for the only tier that has intervals.
        warn: called with what cannot be used.
        recording: its path, unless it is to be found.

    Raises:
        AudioError: the recording cannot be read.
        DataError: the annotations cannot be read, have no such tier, or no recording is found.
    """
    annotations = read(path, warn)
    chosen = _chosen(annotations, tiers, path)
    if recording is None:
        recording, offset = recording_of(path, annotations.media)
    else:
        offset = next((media.offset for media in annotations.media), 0.0)
    intervals = (one for tier in chosen for one in _of_tier(tier, offset, named=len(chosen) > 1, warn=warn))
    found = list(_excerpts(sorted(intervals, key=lambda one: (one.start, one.end)), recording, warn))
    if not found:
        raise DataError(f"{path}: no text at a time within {recording}; wanted intervals with texts")
    return recording, found


def _chosen(annotations: Annotations, names: Sequence[str], path: Path) -> list[Tier]:
    there = ", ".join(map(_described, annotations.tiers)) or "none"
    chosen = [tier for tier in annotations.tiers if not names or any(_is_named(tier, name) for name in names)]
    if not names:
        chosen = [tier for tier in chosen if tier.intervals and not _is_of_points(tier)]
        if len(chosen) > 1:
            raise DataError(f"{path}: has several tiers; choose with --tier NAME from {there}")
    for name in names:
        if not any(_is_named(tier, name) for tier in chosen):
            raise DataError(f"{path}: has no tier {name!r}; wanted one of {there}")
    if points := next(filter(_is_of_points, chosen), None):
        raise DataError(f"{path}: the tier {points.name!r} has points without a duration; wanted one of {there}")
    return chosen


def _is_named(tier: Tier, name: str) -> bool:
    return tier.name == name or fnmatch.fnmatchcase(tier.name, name)


def _is_of_points(tier: Tier) -> bool:
    return any(one.start == one.end for one in tier.intervals)


def _described(tier: Tier) -> str:
    return f"{tier.name!r} ({len(tier.intervals)}{' points' if _is_of_points(tier) else ''})"


def _of_tier(tier: Tier, offset: float, *, named: bool, warn: Warn) -> Iterator[Interval]:
    """The intervals of a tier by the recording's time, with their speakers."""
    until: Interval | None = None
    for one in tier.intervals:
        if until and one.start < until.end - _TOLERANCE_S:
            seen = f"{one.origin}: {one.text!r:.60} begins before {until.text!r:.60} ends"
            warn(f"{seen} ({one.start:g} s, {until.end:g} s); both are in the sound of both", "intervals that overlap")
        until = one if until is None or one.end > until.end else until
        speaker = one.speaker or (tier.name if named else None)
        yield replace(one, start=one.start + offset, end=one.end + offset, speaker=speaker)


def _excerpts(intervals: Sequence[Interval], recording: Path, warn: Warn) -> Iterator[Excerpt]:
    """Those intervals that lie in the recording, as excerpts."""
    from speechxfer import audio

    length = audio.info(FileSource.of(recording)).duration
    for one in intervals:
        seen = f"{one.origin}: {one.text!r:.60} from {one.start:g} s to {one.end:g} s"
        if one.start >= length or one.end <= 0:
            warn(f"{seen} is skipped; {recording} is {length:.3f} s long", "an interval outside of its recording")
            continue
        if one.end > length + _TOLERANCE_S:
            warn(
                f"{seen} is shortened; {recording} is {length:.3f} s long", "an interval that ends after its recording"
            )
        start = max(one.start, 0.0)
        duration = round(min(one.end, length) - start, 6)
        yield Excerpt(round(start, 6), duration, one.text, one.speaker, one.origin)
