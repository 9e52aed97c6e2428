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
