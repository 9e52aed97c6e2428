"""Several recordings in one file, and the parts of it that they are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from speechxfer.audio.completeness import judge
from speechxfer.audio.links import Link
from speechxfer.audio.options import Choice
from speechxfer.audio.pieces import Piece, Reader, shifted


class JoinedReader:
    """Several recordings in one file, as one; see `pieces.Reader`.

    Raises:
        AudioError: one of them is not audio.
    """

    #: What is promised of each is judged where it ends.
    promised_s: float | None = None
    lost_s = packet_s = 0.0

    def __init__(
        self,
        links: Sequence[Link],
        opened: Callable[[Link], AbstractContextManager[Reader]],
        name: str,
        choice: Choice,
    ) -> None:
        self._links, self._opened, self.name, self._choice = links, opened, name, choice
        with self._opened(links[0]) as first:
            self.rate, self.channels = first.rate, first.channels

    def length_s(self) -> float:
        """Of all together."""
        total = 0.0
        for link in self._links:
            with self._opened(link) as reader:
                total += reader.length_s()
        return total

    def pieces(self, first_s: float, stop_s: float | None) -> Iterator[Piece]:
        """One after the other; what lies before `first_s` is measured, not decoded."""
        offset_s = 0.0
        for link in self._links:
            with self._opened(link) as reader:
                begin_s = max(0.0, first_s - offset_s)
                if begin_s and (length_s := reader.length_s()) <= begin_s:
                    offset_s += length_s
                    continue
                end_s, own_stop_s = None, None if stop_s is None else stop_s - offset_s
                for piece in reader.pieces(begin_s, own_stop_s):
                    end_s = piece.stop / piece.rate
                    yield from shifted([piece], offset_s)
                if own_stop_s is not None and end_s is not None and end_s >= own_stop_s:
                    return
                judge(reader, begin_s, end_s, None, self._choice)
                offset_s += end_s or 0.0


class Window(io.RawIOBase):
    """A part of a file as a file, in which some bytes may be read as others."""

    def __init__(self, file: BinaryIO, start: int, stop: int, changes: Mapping[int, bytes] | None = None) -> None:
        self._file, self._start, self._stop, self._changes = file, start, stop, changes or {}
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """From the beginning of the part."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As in any file."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._stop - self._start}
        self._at = max(0, bases[whence] + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As in any file."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._start + self._at)
        data = bytearray(self._file.read(max(0, min(len(view), self._stop - self._start - self._at))))
        for place, changed in self._changes.items():
            for more, byte in enumerate(changed):
                if 0 <= (index := place + more - self._at) < len(data):
                    data[index] = byte
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
