"""Read SRT and WebVTT, also where programs and people wrote them carelessly."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from speechxfer.data import textfiles
from speechxfer.data.annotations.tiers import Annotations, Interval, Warn, tier_of
from speechxfer.errors import DataError

_CLOCK = r"-?\s*(?:\d{1,6}:)?\d{1,6}:\d{1,6}(?:\s*[.,]\s*\d{0,9})?"
#: Settings of a cue (`align:start`) may follow. Some programs write a single `-` or a space in the arrow.
_TIMING = re.compile(rf"\s*({_CLOCK})\s*-+\s*-*>\s*({_CLOCK})(?:\s.*)?")
_ARROW = re.compile(r"\d\s*-->|:\d[\d.,\s]*-+\s*-*>")
#: Markup of WebVTT and of what SRT took over from HTML and SubStation; `<00:01.000>` is the time of a word.
_MARKUP = re.compile(r"</?(?:[a-zA-Z][^<>]*|\d[\d:.]*)?>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]+)>")
_HEADERS = ("WEBVTT", "NOTE", "STYLE", "REGION")


def read(path: Path, warn: Warn) -> Annotations:
    """Read subtitles as one tier; the speakers are those of WebVTT's voice tags.

    Numbers of cues may be missing, times may have any number of digits, with a point or a comma. Markup is removed,
    a cue's line breaks become spaces, and cues that show none are left out. Overlapping cues stay as they are.

    Raises:
        DataError: the file cannot be read, or holds no cue that can be used.
    """
    tier = tier_of("subtitles", _intervals(path, warn), warn)
    if not tier.intervals:
        raise DataError(f"{path}: holds no subtitles; wanted cues such as 00:00:01,000 --> 00:00:02,500 and a text")
    return Annotations((tier,))


def _intervals(path: Path, warn: Warn) -> Iterator[Interval]:
    for start, end, text, number in _cues(path, warn):
        voice = _VOICE.search(text)
        speaker = " ".join(html.unescape(voice[1]).split()) if voice else None
        yield Interval(start, end, html.unescape(_MARKUP.sub("", text)), speaker, f"{path}:{number}")


def _cues(path: Path, warn: Warn) -> Iterator[tuple[float, float, str, int]]:
    """(start, end, text with its markup, line number) of each cue whose times can be read."""
    for number, lines in _blocks(path):
        timing, *text = lines
        if found := _TIMING.fullmatch(timing):
            yield _seconds(found[1]), _seconds(found[2]), "\n".join(text), number
        elif _ARROW.search(timing):
            warn(
                f"{path}:{number}: {timing!r:.80} is skipped; wanted times such as 00:00:01,000 --> 00:00:02,500",
                "times that cannot be read",
            )


def _blocks(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each line with an arrow, by its number, and the lines until the next one that are its text.

    The number or name of the next cue is no text, nor are paragraphs of comments and styles.
    """
    block: tuple[int, list[str]] | None = None
    before, is_comment = -1, False
    for (number, line), (following, next_line) in itertools.pairwise(itertools.chain(_lines(path), [(0, "")])):
        after_empty = number > before + 1
        before = number
        is_comment = line.split(maxsplit=1)[0] in _HEADERS if after_empty else is_comment
        if _has_arrow(line):
            if block:
                yield block
            block, is_comment = (number, [line]), False
        elif (
            block
            and not is_comment
            and not (
                # Numbers may be missing, and so may empty lines, or there may be one after every line.
                _has_arrow(next_line) and sum((after_empty, line.isdecimal(), following == number + 1)) >= 2
            )
        ):
            block[1].append(line)
    if block:
        yield block


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    stripped = ((number, line.strip()) for number, line in enumerate(textfiles.lines(path), start=1))
    return (pair for pair in stripped if pair[1])


def _has_arrow(line: str) -> bool:
    return ">" in line and _ARROW.search(line) is not None


def _seconds(clock: str) -> float:
    """A time such as `01:02:03,450` or `2:3.4` in seconds."""
    sign = -1 if clock.startswith("-") else 1
    whole, _, fraction = re.sub(r"[\s-]", "", clock).replace(",", ".").partition(".")
    seconds = 0
    for part in whole.split(":"):
        seconds = 60 * seconds + int(part)
    return sign * float(f"{seconds}.{fraction or 0}")
