"""Atomic writing: files and folders are written under a temporary name, flushed, and renamed. Also locks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.errors import DiskFullError, StorageError

if TYPE_CHECKING:
    from torch import Tensor

#: Temporary names: `.NAME.RANDOM.tmp`, and `.NAME.RANDOM.old` for what is replaced.
_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.(?:tmp|old)", re.DOTALL)
#: Errors of a lock that another process holds, and of a file system without locks.
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
#: Most bytes of a name in temporary names, because file systems limit names (usually to 255 bytes).
_LONGEST_STEM = 200
#: Linux constants: AT_FDCWD and RENAME_EXCHANGE.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report what goes wrong while something is written to a path.

    Raises:
        StorageError: it could not be written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
        raise kind(
            f"{path}: could not be written ({reason}); what was there before is unchanged. "
            "Free some space or choose another folder, then run again."
        ) from error


def _flush(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_entries(folder: Path) -> None:
    """Flush a folder's names, as far as its file system can: by then the new content is in place."""
    with contextlib.suppress(OSError):
        _flush(folder)


def _prefix(path: Path) -> str:
    """The beginning of temporary names for a path: its name, shortened if it is very long."""
    name = os.fsencode(path.name)
    return f".{path.name if len(name) <= _LONGEST_STEM else name[:_LONGEST_STEM].decode(errors='ignore')}."


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and replaces `path`.

    A device or a pipe (`/dev/stdout`, `>(...)`) is not replaced; the content is copied into it.

    Raises:
        StorageError: it could not be written; what was at `path` is unchanged.
    """
    with writing(path):
        is_device = _is_device(path)
        if not is_device:
            path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.gettempdir() if is_device else path.parent
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=_prefix(path), suffix=".tmp")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            if is_device:
                with temporary.open("rb") as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
                return
            _flush(temporary)
            # mkstemp creates private files; give them the usual permissions.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            _flush_entries(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def together(paths: Iterable[Path]) -> Iterator[None]:
    """Files that belong together: where writing them fails, none of those stays that was not there before."""
    made = [path for path in paths if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise


def _is_device(path: Path) -> bool:
    """Whether a path must be written to instead of replaced; `/dev/stdout` may be a link to a file."""
    if not path.exists():
        return False
    mode = path.stat().st_mode
    is_link_of_system = path.is_symlink() and path.absolute().is_relative_to("/dev")
    return is_link_of_system or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it replaces `path` as a whole.

    Raises:
        StorageError: it could not be written; what was at `path` is unchanged.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path), suffix=".tmp"))
        try:
            yield temporary
            for item in temporary.rglob("*"):
                if item.is_file():
                    item.chmod(0o666 & ~_umask())
                _flush(item)
            temporary.chmod(0o777 & ~_umask())
            _flush(temporary)
            _move_into_place(temporary, path)
            _flush_entries(path.parent)
        finally:
            _remove(temporary)


def _move_into_place(temporary: Path, path: Path) -> None:
    """Move a finished folder to `path`; the previous one is removed, or left under the temporary name."""
    if not os.path.lexists(path):
        temporary.replace(path)
    elif not _exchanged(temporary, path):
        old = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path), suffix=".old"))
        try:
            path.replace(old / path.name)
            temporary.replace(path)
        finally:
            if not os.path.lexists(path):
                (old / path.name).replace(path)
            _remove(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two names atomically; returns false if the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return (
        rename is not None and rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )


@contextlib.contextmanager
def only_writer(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock on the file `lock`, and remove the file afterwards, with folders created for it if they are empty.

    The system releases the lock when this process ends in any way, so a file left by a killed process does not block
    others. A network file system may support locks between machines; without any locks, nothing is protected.

    Args:
        lock: a file for this purpose only.
        what: name of the protected folder in messages, such as "runs/calls".

    Raises:
        StorageError: another process holds the lock, or the file or its folder cannot be created.
    """
    made = [path for path in lock.parents if not os.access(path, os.F_OK)]
    try:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{lock.parent}: cannot be created ({error.strerror}); choose another folder") from error
        descriptor = _acquire(lock, what)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()  # before the release, after which it could be another process's
            os.close(descriptor)
    finally:
        with contextlib.suppress(OSError):  # up to the first that is not empty
            for path in made:
                path.rmdir()


def check_writer(lock: Path, what: str) -> None:
    """Check that no other process holds a lock; see `only_writer`.

    Raises:
        StorageError: another process does.
    """
    if lock.exists():
        with only_writer(lock, what):
            pass


def _acquire(lock: Path, what: str) -> int:
    """Acquire the lock and write this process's id into the file; returns its descriptor."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StorageError(
                f"{lock.parent}: cannot be written to ({error.strerror}); choose another folder"
            ) from error
        if not _lock(descriptor):
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            by = f" ({holder})" if holder else ""
            raise StorageError(f"{what}: another process is writing there{by}; wait for it, or choose another folder")
        if _is_at(lock, descriptor):
            break
        os.close(descriptor)  # its former holder has removed the file
    with contextlib.suppress(OSError):  # a full disk does not prevent locking
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def _lock(descriptor: int) -> bool:
    """Try to lock; returns true also if the system has no locks."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def recover_all(folder: Path) -> None:
    """Restore what killed processes left under temporary names in a folder, and remove their other leftovers.

    No process may be writing there; subfolders are not searched.

    Raises:
        StorageError: the folder cannot be written to.
    """
    for leftover in _leftovers(folder):
        with writing(leftover):
            # It contains the replaced folder under its full name, which the leftover's own name may shorten.
            for replaced in leftover.glob("*") if leftover.suffix == ".old" else ():
                path = folder / replaced.name
                if leftover.name.startswith(_prefix(path)) and not os.path.lexists(path):
                    replaced.replace(path)
            _remove(leftover)


def _leftovers(folder: Path) -> list[Path]:
    """Temporary files and folders, newest first, because the newest of several old versions was the last in place."""
    found = [item for item in folder.iterdir() if _LEFTOVER.fullmatch(item.name)] if folder.is_dir() else []
    return sorted(found, key=lambda item: -item.lstat().st_mtime_ns)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """The cache folder: `$SPEECHXFER_CACHE`, or `speechxfer` in the user's cache folder."""
    if chosen := os.environ.get("SPEECHXFER_CACHE"):
        return Path(os.path.expanduser(chosen))  # noqa: PTH111  # Path's own raises for an unknown user
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speechxfer"


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file; for use inside `replacing` and `replacing_folder`.

    Raises:
        OSError: it could not be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path, metadata={"format": "pt", **(metadata or {})})
    except SafetensorError as error:  # raised for a full disk
        raise OSError(errno.EIO, str(error).removeprefix("Error while serializing: ")) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
