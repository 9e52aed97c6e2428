"""Progress of long work; the library itself prints nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence


class Progress:
    """Receives messages and progress, and ignores them; the command line passes a subclass that prints them."""

    def log(self, message: str) -> None:
        """Log a message of one line."""

    def warn(self, message: str, kind: str = "") -> None:
        """Log a warning; there may be one of a `kind` for every file."""
        self.log(message)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Log a small table; columns after the first have numbers or short words."""

    @contextlib.contextmanager
    def task(self, description: str, total: float) -> Iterator[Callable[[float], None]]:
        """Work of a known size; call the yielded function with the size of each finished piece."""
        yield lambda _done: None


class Warnings(Progress):
    """Collects warnings and their kinds, until they are taken; from a process that cannot print."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def warn(self, message: str, kind: str = "") -> None:
        """Keep a warning."""
        self._found.append((message, kind))

    def take(self) -> list[tuple[str, str]]:
        """What has come since this was last called."""
        taken = self._found[:]
        del self._found[: len(taken)]
        return taken
