"""Transcripts as text: plain, JSON, and the subtitle formats SRT and WebVTT."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from speechxfer.decoding.hypothesis import Word
from speechxfer.errors import ConfigError, printable
from speechxfer.inference.transcript import Segment, Transcript

# What subtitle guidelines call readable.
_LINE_CHARACTERS = 42
_CUE_LINES = 2
_CUE_S = 7.0
_PAUSE_S = 0.8  # between two words; a longer one ends the cue


def write(transcript: Transcript, format: str) -> str:  # noqa: A002 - its name everywhere
    """The transcript as the content of a file: `txt`, `json`, `srt` or `vtt`.

    Subtitles are split at words with times into cues of two lines of 42 characters and 7 s at most; a
    segment without word times is one cue.

    Raises:
        ConfigError: another format.
    """
    if format not in _WRITERS:
        raise ConfigError(f"transcript format {format!r} is not known; wanted one of {', '.join(_WRITERS)}")
    return _WRITERS[format](transcript)


def write_line(transcript: Transcript, format: str) -> str:  # noqa: A002
    """The transcript as one line among those of other recordings: `source: text` (txt) or an object (json).

    Raises:
        ConfigError: a format that takes more than a line.
    """
    match format:
        case "txt":
            return f"{printable(transcript.source or '')}: {' '.join(transcript.text.split())}\n"
        case "json":
            return json.dumps(transcript.to_dict(), ensure_ascii=False) + "\n"
        case _:
            raise ConfigError(f"a transcript as {format!r} does not fit on a line; wanted txt or json")


def _txt(transcript: Transcript) -> str:
    return transcript.text + "\n"


def _json(transcript: Transcript) -> str:
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


def _srt(transcript: Transcript) -> str:
    blocks = (
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{cue.text}\n"
        for number, cue in enumerate(_cues(transcript), 1)
    )
    return "\n".join(blocks)


def _vtt(transcript: Transcript) -> str:
    blocks = (
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{_escaped(cue.text)}\n"
        for cue in _cues(transcript)
    )
    return "\n".join(["WEBVTT\n", *blocks])


_WRITERS: dict[str, Callable[[Transcript], str]] = {"txt": _txt, "json": _json, "srt": _srt, "vtt": _vtt}
FORMATS = tuple(_WRITERS)
"""The names that `write` knows."""


def _clock(time_ms: int, mark: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{milliseconds:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True, slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    text: str


def _cues(transcript: Transcript) -> Iterator[_Cue]:
    """Cues in whole milliseconds that follow one another without overlap, each at least 1 ms long."""
    parts = [part for segment in transcript.segments for part in _parts(segment) if part[2].strip()]
    shown_until = 0
    for (start, end, text), (next_start, _, _) in pairwise([*parts, (math.inf, math.inf, "")]):
        start_ms = max(_ms(start), shown_until)
        shown_until = max(_ms(min(end, next_start)), start_ms + 1)
        yield _Cue(start_ms, shown_until, "\n".join(_lines(text)))


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _parts(segment: Segment) -> Iterator[tuple[float, float, str]]:
    """(start, end, text) of each cue of a segment, in seconds."""
    if segment.words:
        for words in _readable(segment.words):
            yield words[0].start, words[-1].end, _text(words)
    else:
        yield segment.start, segment.end, segment.text


def _readable(words: Iterable[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and not _may_follow(group, word):
            yield group
            group = []
        group.append(word)
    yield group


def _may_follow(group: Sequence[Word], word: Word) -> bool:
    return (
        word.start - group[-1].end < _PAUSE_S
        and word.end - group[0].start <= _CUE_S
        and len(_lines(_text([*group, word]))) <= _CUE_LINES
    )


def _text(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words)


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False)
