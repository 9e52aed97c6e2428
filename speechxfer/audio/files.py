"""Files as libraries want them: a part of one, and one that never raises."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Mapping
from typing import Any, BinaryIO


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


class Quiet:
    """A file in which a place that is not there is an error number, as C libraries have it, not an exception."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name, self.read, self.tell, self._file = name, file.read, file.tell, file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As that of a file."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, OverflowError, ValueError):
            return -errno.EINVAL
