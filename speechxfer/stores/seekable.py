"""Bytes that can be asked for from one place to another, as a file that libraries read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any


class Seekable(io.RawIOBase):
    """A file over a function that gives bytes.

    Args:
        between: the bytes from one place to another, both within the file; fewer where there are no more.
        size: of the file, in bytes.
    """

    def __init__(self, between: Callable[[int, int], bytes], size: int) -> None:
        self._between, self._size, self._at = between, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """From the beginning."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As in any file, but a place before the beginning is the beginning."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}
        self._at = max(0, bases[whence] + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """As in any file."""
        view = memoryview(buffer).cast("B")
        stop = min(self._size, self._at + len(view))
        data = self._between(self._at, stop) if self._at < stop else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
