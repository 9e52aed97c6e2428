"""Recordings as objects: files, bytes, and what is stored at any other address (`stores`) here, arrays in `audio`.

Whoever has recordings elsewhere writes a class with a `name` and `contents()`; everything else follows.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self, TypeVar

from speechxfer.errors import AudioError
from speechxfer.placeholders import LARGEST_POINTER, placeholder
from speechxfer.stores import inside_of, is_remote, is_url, spelled, stored

_T = TypeVar("_T")
_CHUNK = 1 << 20
#: What `pathlib` leaves out of paths.
_UNUSUAL = re.compile(r"//|/\./|^\./|/\.?$|^$")
#: Recordings of up to so many bytes are read whole from a store, larger ones where a decoder wants them.
_SMALL = 1 << 20


class AudioSource(ABC):
    """One recording: what messages call it, and its encoded sound.

    Everything in `speechxfer.audio` takes one in place of a path. What its header says is read once, however often it
    is asked for (`audio.info`).
    """

    __slots__ = ("__weakref__", "_headers")

    _headers: dict[Any, Any]

    def __new__(cls, *_arguments: Any, **_named: Any) -> Self:
        """Here rather than in `__init__`, which a derived class may not call."""
        made = super().__new__(cls)
        made._headers = {}
        return made

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it; of sources in memory it names the content, so that the same sound has one name."""

    @abstractmethod
    def contents(self) -> str | os.PathLike[str] | bytes | BinaryIO:
        """The encoded file: its path, its bytes, or a binary file that the caller reads from its beginning."""

    @property
    def key(self) -> str:
        """Equal for two sources of the same recording."""
        return self.name

    def version(self) -> object:
        """Something that changes when the recording does; what was read of a header counts for one version."""
        return None

    def problem(self) -> str | None:
        """Why it cannot be opened, as far as that shows without decoding; None where it can."""
        return None

    def is_readable(self) -> bool:
        """Whether this user may read it."""
        return True

    def digest(self) -> str:
        """32 hex digits that stand for the content.

        Raises:
            AudioError: it cannot be read.
        """
        contents, digest = self.contents(), hashlib.blake2b(digest_size=16)
        try:
            with (
                io.BytesIO(contents) if isinstance(contents, bytes)
                else Path(contents).open("rb") if isinstance(contents, str | os.PathLike)
                else contents
            ) as file:  # fmt: skip
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise AudioError(f"{self.name}: cannot be read ({error.strerror})") from error
        return digest.hexdigest()

    def once(self, question: object, answer: Callable[[], _T]) -> _T:
        """The answer to a question about the header, computed once for each version of the recording."""
        asked = (self.version(), question)
        if asked not in self._headers:
            self._headers[asked] = answer()
        found: _T = self._headers[asked]
        return found


class FileSource(AudioSource):
    """A file. `FileSource.of` gives one object for one path as long as somebody holds it."""

    __slots__ = ("address",)
    _known: ClassVar[weakref.WeakValueDictionary[str, FileSource]] = weakref.WeakValueDictionary()

    def __init__(self, path: Path | str) -> None:
        #: Its path as text, of which there may be millions.
        self.address = _normal(path)

    @classmethod
    def of(cls, path: Path | str) -> FileSource:
        """The source of a path; what is known of its header is known to everybody who asks."""
        address = _normal(path)
        found = cls._known.get(address)
        if found is None:
            cls._known[address] = found = cls.__new__(cls)
            found.address = address
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return FileSource.of, (self.address,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileSource) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __repr__(self) -> str:
        return f"FileSource({self.address!r})"

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.address)

    @property
    def name(self) -> str:
        """Its path."""
        return self.address

    @property
    def key(self) -> str:
        """Its absolute path."""
        return self.address if os.sep == self.address[:1] == "/" else str(self.path.absolute())

    def contents(self) -> Path:
        """Its path."""
        return self.path

    def version(self) -> object:
        """Changes when the file is written; None where there is none."""
        try:
            found = self.path.stat()
        except (OSError, ValueError):
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def is_readable(self) -> bool:
        """Whether this user may read the file; False where there is none."""
        return os.access(self.path, os.R_OK)

    def problem(self) -> str | None:
        """There is no such file, it may not be read, or something stands in its place (a pointer of Git LFS)."""
        try:
            seen = self.path.stat()
            if not stat.S_ISREG(seen.st_mode):
                return f"no such file: {self.path}"
            found = None
            if seen.st_size <= LARGEST_POINTER:
                with self.path.open("rb") as file:
                    found = placeholder(file.read(LARGEST_POINTER))
        except PermissionError:
            return f"{self.path} may not be read"
        except (OSError, ValueError):  # also for a name that no file can have
            return f"no such file: {self.path}"
        return f"{self.path} {found}" if found else None


def _normal(path: Path | str) -> str:
    """A path as `pathlib` writes it, which takes its time, so it is asked only where it may write another."""
    return str(path if isinstance(path, Path) else Path(path) if os.sep != "/" or _UNUSUAL.search(path) else path)


class StoredSource(AudioSource):
    """What is stored at an address that is no file of its own: behind a URL, in a tar shard, in a table."""

    __slots__ = ("address",)

    def __init__(self, address: str) -> None:
        self.address = address

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredSource, (self.address,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredSource) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __repr__(self) -> str:
        return f"StoredSource({self.address!r})"

    @property
    def name(self) -> str:
        """Its address."""
        return self.address

    @property
    def key(self) -> str:
        """Its address, absolute."""
        return self.address if is_url(self.address) else str(Path(self.address).absolute())

    def contents(self) -> bytes | BinaryIO:
        """Its bytes, or a file that reads them where it is read.

        Raises:
            AudioError: they cannot be had.
        """
        try:
            found = stored(self.address)
            size = found.size()
            return found.read(0, size) if size <= _SMALL else found.open()
        except OSError as error:
            raise AudioError(f"{self.address}: {error.strerror or error}") from error

    def version(self) -> object:
        """Changes when the file that holds it does; None where it cannot be asked."""
        try:
            return stored(self.address).version()
        except OSError:
            return None

    def problem(self) -> str | None:
        """What is inside of a file on this disk is not there; of what is behind a URL nobody is asked."""
        if is_url(self.address):
            return None
        try:
            stored(self.address)
        except FileNotFoundError as error:
            file = (inside_of(self.address) or (self.address,))[0]
            return f"no such file: {file}" if not os.path.exists(file) else f"{self.address}: {error.strerror}"  # noqa: PTH110
        except OSError as error:
            return f"{self.address}: {error.strerror or error}"
        return None


def source_at(address: str | os.PathLike[str]) -> AudioSource:
    """The recording at an address: a path, a URL, or either of a tar shard or a table with a place in it.

    Raises:
        ConfigError: a URL holds a password.
    """
    text = spelled(address)
    return StoredSource(text) if is_remote(text) else FileSource.of(text)


class BytesSource(AudioSource):
    """An encoded file in memory."""

    __slots__ = ("_name", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._name = memory_name(self.digest())

    @property
    def name(self) -> str:
        """`memory:` and its digest."""
        return self._name

    def contents(self) -> bytes:
        """The bytes."""
        return self.data


class LostSource(AudioSource):
    """What was in memory when a manifest was written, and is not there now."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """As in the manifest."""
        return self._name

    def contents(self) -> bytes:
        """Not to be had.

        Raises:
            AudioError: always.
        """
        raise AudioError(f"{self._name}: {self.problem()}")

    def problem(self) -> str:
        """Says what to do."""
        return "the sound was in memory and is in no file; pass the same data again in Python, or write it to files"


_MEMORY = "memory:"


def memory_name(digest: str) -> str:
    """What a recording in memory is called."""
    return f"{_MEMORY}{digest}"


def is_memory_name(name: str) -> bool:
    """Whether a manifest's `audio` stands for a recording that was in memory."""
    return name.startswith(_MEMORY) and not is_url(name)
