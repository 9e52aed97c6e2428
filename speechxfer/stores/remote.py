"""Files behind URLs, by `fsspec`: object stores, web servers, the Hugging Face hub.

What stands between here and a store fails now and then, so each request is repeated with growing pauses. Credentials
are the business of the store's own client, and nothing of them appears in a message.
"""

from __future__ import annotations

import errno
import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from speechxfer.errors import ConfigError, MissingPackageError
from speechxfer.extras import need
from speechxfer.stores.address import spelled
from speechxfer.stores.stored import BLOCK, Stored, whole

_Answer = TypeVar("_Answer")

#: Seconds before each repetition of a request, and those after which one counts as failed.
_PAUSES_S = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 60.0
#: Seconds for which a store is tried that has never answered: its address may be wrong, or its server down.
_FIRST_S = 15.0
#: Blocks that are kept, so that headers, and what follows each other, need no request of their own.
_MOST_BLOCKS = 32
_MOST_KNOWN = 10_000
#: Packages that know how to speak to a store, by scheme.
_CLIENTS = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
    "http": "aiohttp", "https": "aiohttp", "hf": "huggingface_hub",
}  # fmt: skip
_REFUSED, _NOT_THERE, _BUSY = (401, 403), (404, 410), (408, 425, 429)
_QUERY = re.compile(r"\?[^\s'\"]*")


class _About(NamedTuple):
    size: int
    version: object


class RemoteFile(Stored):
    """A file behind a URL, which is read in blocks."""

    __slots__ = ()

    def size(self) -> int:
        """As the store says."""
        return self._about().size

    def version(self) -> object:
        """As the store says, asked once in a process."""
        return self._about().version

    def read(self, start: int, stop: int) -> bytes:
        """As `Stored.read`."""
        if stop <= start:
            return b""
        about = self._about()
        if stop > about.size:
            raise OSError(errno.EIO, f"bytes up to {stop} are wanted, but it has {about.size}")
        first, last = start // BLOCK, (stop - 1) // BLOCK
        if last - first >= _MOST_BLOCKS:
            return self._fetched(start, stop)
        data = b"".join(self._blocks(first, last, about))
        return data[start - first * BLOCK : stop - first * BLOCK]

    def _blocks(self, first: int, last: int, about: _About) -> list[bytes]:
        """Whole blocks; what is not known of them is fetched in one request."""
        keys = [(self.name, about.version, number) for number in range(first, last + 1)]
        found = [_blocks.get(key) for key in keys]
        missing = [number for number, block in enumerate(found) if block is None]
        if missing:
            start = (first + missing[0]) * BLOCK
            data = self._fetched(start, min(about.size, (first + missing[-1] + 1) * BLOCK))
            for number in range(missing[0], missing[-1] + 1):
                at = (first + number) * BLOCK - start
                found[number] = data[at : at + BLOCK]
                _blocks.put(keys[number], found[number])
        return [block or b"" for block in found]

    def _fetched(self, start: int, stop: int) -> bytes:
        def fetch() -> bytes:
            system, path, limits = _system(self.name)
            data: bytes = system.cat_file(path, start=start, end=stop, **limits)
            # A server that knows no ranges sends all there is.
            return whole(data[start:stop] if start == 0 or len(data) == self._about().size else data, stop - start)

        return _repeated(fetch, self.name)

    def _about(self) -> _About:
        known: _About | None = _known.get(self.name)
        if known is None:
            _known.put(self.name, known := _repeated(self._asked, self.name))
        return known

    def _asked(self) -> _About:
        system, path, limits = _system(self.name)
        found = system.info(path, **limits)
        if found.get("type") == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder, where a file is wanted")
        size = found.get("size")
        if size is None:  # of a server that does not say
            size = len(system.cat_file(path, **limits))
        names = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created", "md5Hash")
        return _About(int(size), (size, *(str(found[name]) for name in names if name in found)))


def matching(pattern: str) -> list[str]:
    """The addresses of files that match, sorted.

    Raises:
        OSError: the store cannot be asked.
    """

    def ask() -> list[str]:
        system, path, limits = _system(pattern)
        limits = dict.fromkeys(limits, _TIMEOUT_S)  # a long list takes its time, also of a store that is new
        return sorted(spelled(system.unstrip_protocol(one)) for one in system.glob(path, **limits))

    return _repeated(ask, pattern)


def _system(url: str) -> tuple[Any, str, dict[str, Any]]:
    """The client of a store, its name for a URL, and limits for its requests.

    Raises:
        ConfigError: there is no client for such URLs, or it is not installed.
    """
    need("fsspec", url)
    from fsspec.core import url_to_fs

    scheme = url.partition(":")[0]
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        client = _CLIENTS.get(scheme, str(error.name or error))
        raise MissingPackageError(f"{url}: {scheme}:// needs {client}, which is not installed; python -m pip install {client}", name=client) from error  # fmt: skip  # noqa: E501
    except ValueError as error:
        raise ConfigError(f"{url}: no store is known by {scheme}://; wanted a path, or a URL such as s3://, gs://, hf:// or https://") from error  # fmt: skip  # noqa: E501
    seconds = _TIMEOUT_S if _answered.get(_store(url)) else _FIRST_S
    return system, path, {"timeout": seconds} if getattr(system, "async_impl", False) else {}


def _store(url: str) -> str:
    """A store in an address: what stands before the path."""
    return "/".join(url.split("/", 3)[:3])


def _repeated(request: Callable[[], _Answer], url: str) -> _Answer:
    """The answer to a request, which is repeated where that may help; not for long where nobody has ever answered.

    Raises:
        OSError: there is none, with the reason.
    """
    began = time.monotonic()
    for times, pause_s in enumerate((*_PAUSES_S, math.inf), 1):
        try:
            answer = request()
        except ConfigError:
            raise
        except Exception as raised:  # each client has its own
            error = _first(raised)
            if (known := _lasting(error)) is not None:
                raise known(_NUMBERS.get(known, errno.EIO), _reason(error)) from None
            is_silent = _is_silent(error) and not _answered.get(_store(url))
            if pause_s >= (began + _FIRST_S - time.monotonic() if is_silent else math.inf):
                often = f", {times} times" if times > 1 else ""
                nobody = f"; nobody has answered at {_store(url)}" if is_silent else ""
                raise OSError(errno.EIO, f"{_reason(error)}{often}{nobody}") from None
        else:
            _answered.put(_store(url), True)
            return answer
        time.sleep(pause_s)
    raise AssertionError


def _first(error: Exception) -> Exception:
    """The error of a connection that a client calls a file that is not there; else the same."""
    cause = error.__cause__ or error.__context__
    is_hidden = isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and _is_silent(cause)
    return cause if is_hidden and isinstance(cause, Exception) else error


def _is_silent(error: Exception) -> bool:
    """Whether an error is that of a connection, so that the store may not be there at all; each client has its own."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return any(word in name for name in names for word in ("Connect", "Timeout"))


_NUMBERS: dict[type[OSError] | None, int] = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    IsADirectoryError: errno.EISDIR,
}


def _lasting(error: Exception) -> type[OSError] | None:
    """The kind of an error that no repetition changes; None for others."""
    status = next((one for name in ("status", "code", "status_code") if isinstance(one := getattr(error, name, None), int)), None)  # fmt: skip  # noqa: E501
    if status in _NOT_THERE or isinstance(error, FileNotFoundError):
        return FileNotFoundError
    if status in _REFUSED or isinstance(error, PermissionError) or "NoCredentials" in type(error).__name__:
        return PermissionError
    if isinstance(error, IsADirectoryError):
        return IsADirectoryError
    return OSError if isinstance(status, int) and 400 <= status < 500 and status not in _BUSY else None


def _reason(error: Exception) -> str:
    """What a client says on one line, without parameters of URLs, which may be signatures."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    said = getattr(error, "strerror", None) or str(error)
    text = _QUERY.sub("?…", " ".join(said.split()))[:200]
    name = type(error).__name__
    return text if isinstance(error, OSError) and text else f"{name}: {text}" if text else name


class _Recent:
    """The answers used last, for all threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any) -> Any:
        """What is held; None where there is nothing."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Hold it, and no longer what was not used for the longest time."""
        with self._lock:
            self._held[key] = value
            while len(self._held) > self._most:
                self._held.popitem(last=False)


_blocks, _known, _answered = _Recent(_MOST_BLOCKS), _Recent(_MOST_KNOWN), _Recent(_MOST_KNOWN)
