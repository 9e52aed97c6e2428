"""Standard output and error in whatever encoding the terminal has: no character is lost, and none is an error."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Iterator

import click

from speechxfer.errors import DiskFullError, StorageError

_ESCAPE = "speechxfer.escape"


def prepare() -> None:
    """Have a process's own streams write what they cannot encode as `\\uXXXX`, which is also valid in JSON.

    Files and pipes get UTF-8, unless PYTHONIOENCODING asks for another encoding; a terminal keeps its own.
    """
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            chosen = stream.isatty() or os.environ.get("PYTHONIOENCODING")
            reconfigure(encoding=None if chosen else "utf-8", errors=_ESCAPE)


def write(text: str) -> None:
    """Write results to standard output, at once.

    Raises:
        StorageError: it is closed.
        DiskFullError: it lies on a full disk.
    """
    if sys.stdout is None:
        raise StorageError("standard output is closed, so results would be lost; redirect it to a file")
    with full_disk_reported():
        click.echo(text, nl=False)


@contextlib.contextmanager
def full_disk_reported() -> Iterator[None]:
    """Raise DiskFullError where standard output lies on a full disk; what could not be written is given up."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with contextlib.suppress(AttributeError, OSError):  # a stream that is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again when it exits
        reason = f"the output could not be written ({error.strerror}); free some space and run again"
        raise DiskFullError(reason) from error


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    escapes = [f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2)]
    return "".join(escapes), error.end
