"""How long work reports what it is doing; the library itself prints nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence


class Progress:
    """Receives what is going on and does nothing with it; the command line passes one that draws."""

    def log(self, message: str) -> None:
        """A line worth reading."""

    def warn(self, message: str, kind: str = "") -> None:
        """A line about something that was put up with; of one `kind` there may be as many as there are files."""
        self.log(message)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A small table worth reading; columns after the first hold numbers or short words."""

    @contextlib.contextmanager
    def task(self, description: str, total: float) -> Iterator[Callable[[float], None]]:
        """Work of a known size; the yielded function is called with each piece done."""
        yield lambda _done: None
