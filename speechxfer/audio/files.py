"""Files as libraries want them: a part of one, and one that never raises."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import BinaryIO

from speechxfer.stores.seekable import Seekable


class Window(Seekable):
    """A part of a file as a file, in which some bytes may be read as others."""

    def __init__(self, file: BinaryIO, start: int, stop: int, changes: Mapping[int, bytes] | None = None) -> None:
        super().__init__(self._changed, stop - start)
        self._file, self._start, self._changes = file, start, changes or {}

    def _changed(self, start: int, stop: int) -> bytes:
        self._file.seek(self._start + start)
        data = bytearray(self._file.read(stop - start))
        for place, changed in self._changes.items():
            for more, byte in enumerate(changed):
                if 0 <= (index := place + more - start) < len(data):
                    data[index] = byte
        return bytes(data)


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
