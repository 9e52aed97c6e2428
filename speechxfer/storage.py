"""Writing files so that nobody ever sees half of one: temporary name, fsync, rename."""

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
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.errors import DiskFullError, StorageError

if TYPE_CHECKING:
    from torch import Tensor

#: The names under which files and folders are written here: `.NAME.RANDOM.tmp`, and `.old` for what is replaced.
_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.(?:tmp|old)", re.DOTALL)
#: How a lock is refused because another process has it, and because the file system has no locks.
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
#: Bytes of a name that temporary names hold, so that they are no longer than file systems allow (usually 255).
_LONGEST_STEM = 200
#: Of Linux: paths are relative to the working folder; exchange two names.
_HERE, _EXCHANGE = -100, 2


@contextlib.contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
        raise kind(
            f"{path}: could not be written ({reason}); what stood there before is unchanged. "
            "Free some space or choose another folder, then run again."
        ) from error


def _flush(path: Path) -> None:
    """Have a file's content, or a folder's list of names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prefix(path: Path) -> str:
    """How temporary names for a path begin: with its name, of which very long ones lose their end."""
    name = os.fsencode(path.name)
    return f".{path.name if len(name) <= _LONGEST_STEM else name[:_LONGEST_STEM].decode(errors='ignore')}."


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and takes its place.

    A device or a pipe (`/dev/stdout`, `>(...)`) is not replaced: what was written is copied into it.

    Raises:
        StorageError: it could not be written; whatever stood at `path` is unchanged.
    """
    with _reporting(path):
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
            # mkstemp makes files private; a model or a manifest is as readable as any other file.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _is_device(path: Path) -> bool:
    """Whether a path is written to rather than replaced; `/dev/stdout` may lead to a file."""
    if not path.exists():
        return False
    mode = path.stat().st_mode
    is_link_of_system = path.is_symlink() and path.absolute().is_relative_to("/dev")
    return is_link_of_system or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it takes its place as a whole.

    Raises:
        StorageError: it could not be written; whatever stood at `path` is unchanged.
    """
    with _reporting(path):
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
            _take_place(temporary, path)
            _flush(path.parent)
        finally:
            _remove(temporary)


def _take_place(temporary: Path, path: Path) -> None:
    """Give a finished folder its name; what stood there is removed, or left under the temporary name."""
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
    """Swap two names in one stroke, so that neither is ever missing; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


@contextlib.contextmanager
def only_writer(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock on the file `lock`, and remove the file afterwards; folders made for it go again if they stay empty.

    The system ends the lock with this process, however that ends, so a file that was left by a killed one keeps nobody
    out. On a network file system it is seen from other machines where that system passes locks on; where there are no
    locks at all, nobody is kept out.

    Args:
        lock: belongs to no other purpose.
        what: whose writing is protected, for the message: "runs/calls".

    Raises:
        StorageError: another process holds it, or the file or its folder cannot be made.
    """
    made = [path for path in lock.parents if not os.access(path, os.F_OK)]
    try:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{lock.parent}: cannot be made ({error.strerror}); choose another folder") from error
        descriptor = _held(lock, what)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()  # before the lock ends, or it could be somebody else's
            os.close(descriptor)
    finally:
        with contextlib.suppress(OSError):  # up to the first that holds something
            for path in made:
                path.rmdir()


def check_writer(lock: Path, what: str) -> None:
    """Look whether another process holds a lock; see `only_writer`.

    Raises:
        StorageError: one does.
    """
    if lock.exists():
        with only_writer(lock, what):
            pass


def _held(lock: Path, what: str) -> int:
    """An open file on which this process has the lock, with a line in it that says who that is."""
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
        os.close(descriptor)  # whoever had it has removed the file since
    with contextlib.suppress(OSError):  # a full disk keeps nobody from holding a lock
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def _lock(descriptor: int) -> bool:
    """Whether the lock is this process's now; also where the system has no locks."""
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
    """Bring back what killed writers left under temporary names in a folder, and remove the rest they left.

    Nobody may be writing there at this moment; subfolders are not looked at.

    Raises:
        StorageError: the folder cannot be written to.
    """
    for leftover in _leftovers(folder):
        with _reporting(leftover):
            # What was replaced lies in it under its own name, of which the leftover's may hold only the beginning.
            for replaced in leftover.glob("*") if leftover.suffix == ".old" else ():
                path = folder / replaced.name
                if leftover.name.startswith(_prefix(path)) and not os.path.lexists(path):
                    replaced.replace(path)
            _remove(leftover)


def _leftovers(folder: Path) -> list[Path]:
    """Temporary files and folders, the newest first: of several old versions it is the one that stood last."""
    found = [item for item in folder.iterdir() if _LEFTOVER.fullmatch(item.name)] if folder.is_dir() else []
    return sorted(found, key=lambda item: -item.lstat().st_mtime_ns)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where what can be computed again is kept: `$SPEECHXFER_CACHE`, or `speechxfer` in the system's own place."""
    if chosen := os.environ.get("SPEECHXFER_CACHE"):
        return Path(os.path.expanduser(chosen))  # noqa: PTH111  # Path's own raises for an unknown user
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speechxfer"


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
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
    except SafetensorError as error:  # which is how it reports a full disk
        raise OSError(errno.EIO, str(error).removeprefix("Error while serializing: ")) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
