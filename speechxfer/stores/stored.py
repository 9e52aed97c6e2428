"""What can be read from one byte to another: files on this disk, parts of others, bytes."""

from __future__ import annotations

import errno
import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO, cast

from speechxfer.stores.seekable import Seekable

#: Bytes that are read at a time from what is not on this disk.
BLOCK = 1 << 20


class Stored(ABC):
    """Bytes somewhere; nothing is held open between two calls, so it can be sent to other processes.

    All methods raise OSError where the bytes cannot be had, `strerror` says why.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        #: The address, in messages.
        self.name = name

    @abstractmethod
    def size(self) -> int:
        """In bytes."""

    @abstractmethod
    def read(self, start: int, stop: int) -> bytes:
        """All bytes from one place to another; less than that is an error."""

    @abstractmethod
    def version(self) -> object:
        """Something that changes when the bytes do."""

    def open(self) -> BinaryIO:
        """A binary file with a buffer, which the caller closes."""
        return cast(BinaryIO, io.BufferedReader(Seekable(self.read, self.size()), BLOCK))


class LocalFile(Stored):
    """A file on this disk."""

    __slots__ = ()

    def size(self) -> int:
        """As the disk knows it."""
        return Path(self.name).stat().st_size

    def read(self, start: int, stop: int) -> bytes:
        """As `Stored.read`."""
        with Path(self.name).open("rb") as file:
            file.seek(start)
            return whole(file.read(stop - start), stop - start)

    def version(self) -> object:
        """Changes when the file is written."""
        found = Path(self.name).stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def open(self) -> BinaryIO:
        """As any program opens it."""
        return Path(self.name).open("rb")


class Section(Stored):
    """A part of another file."""

    __slots__ = ("_file", "_start", "_stop")

    def __init__(self, name: str, file: Stored, start: int, stop: int) -> None:
        super().__init__(name)
        self._file, self._start, self._stop = file, start, stop

    def size(self) -> int:
        """Of the part."""
        return self._stop - self._start

    def read(self, start: int, stop: int) -> bytes:
        """As `Stored.read`, of these bytes and no others."""
        return self._file.read(self._start + start, self._start + stop)

    def version(self) -> object:
        """That of the file."""
        return self._file.version(), self._start


class Held(Stored):
    """Bytes that were read already."""

    __slots__ = ("_data", "_version")

    def __init__(self, name: str, data: bytes, version: object) -> None:
        super().__init__(name)
        self._data, self._version = data, version

    def size(self) -> int:
        """Their number."""
        return len(self._data)

    def read(self, start: int, stop: int) -> bytes:
        """As `Stored.read`."""
        return whole(self._data[start:stop], stop - start)

    def version(self) -> object:
        """That of where they were read."""
        return self._version


def whole(data: bytes, wanted: int) -> bytes:
    """The same bytes, if they are all.

    Raises:
        OSError: there are fewer.
    """
    if len(data) != wanted:
        raise OSError(errno.EIO, f"only {len(data)} of {wanted} bytes can be read: the file was cut short")
    return data
