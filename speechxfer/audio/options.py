"""How a file is to be read, and what is reported of it while it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a file that does not keep it from being read.

    Attributes:
        kind: "short" (a little of what is promised cannot be read), "streams" (there are several audio streams) or
            "clock" (its time stamps jump by more than a pause can last).
        name: of the file.
        what: was seen, and what is done about it.
    """

    kind: Literal["short", "streams", "clock"]
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


class Options(TypedDict, total=False):
    """How a file is read; each may be left out.

    Attributes:
        stream: which of several audio streams, counted from 0 as in ffmpeg's `0:a:N`. Without it the one that FFmpeg
            finds best (marked as the default, or with the most channels).
        channel: read only this channel, counted from 0. Without it all of them are mixed.
        strict: raise TruncatedAudioError where a file is a little shorter than it should be.
        notify: called with each `Notice`; without it they are dropped.
    """

    stream: int | None
    channel: int | None
    strict: bool
    notify: Callable[[Notice], None]


def _ignore(_notice: Notice) -> None:
    """Drop it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`Options` with their defaults."""

    stream: int | None = None
    channel: int | None = None
    strict: bool = False
    notify: Callable[[Notice], None] = _ignore
