"""Segments and words as tiers: in whole milliseconds, one after the other, words inside their segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from speechxfer.inference.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Label:
    """A text from `start_ms` to `end_ms`, at least 1 ms later."""

    start_ms: int
    end_ms: int
    text: str


class _Timed(Protocol):
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...


def tiers(transcript: Transcript) -> Iterator[tuple[Label, list[Label]]]:
    """Each segment with its words.

    Programs allow no overlap within a tier, so what would begin before its predecessor ends begins later; and a word
    that would end after its segment ends earlier.
    """
    until = 0
    for segment in transcript.segments:
        words = [word for word in segment.words if word.text.strip()]
        start = max(_ms(segment.start), until)
        until = max(_ms(segment.end), start + max(len(words), 1))
        yield Label(start, until, _one_line(segment.text)), list(_inside(words, start, until))


def _inside(words: Sequence[_Timed], start: int, end: int) -> Iterator[Label]:
    """Words between the times of their segment, which has at least 1 ms for each."""
    until = start
    for left, word in zip(range(len(words), 0, -1), words, strict=True):
        begin = min(max(_ms(word.start), until), end - left)
        until = min(max(_ms(word.end), begin + 1), end - left + 1)
        yield Label(begin, until, _one_line(word.text))


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _one_line(text: str) -> str:
    return " ".join(text.split())
