"""Progress drawn on the terminal; bars only where there is one."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from speechxfer.progress import Progress as Listener

#: Warnings of one kind that are shown.
_MOST_WARNINGS = 5


class TerminalProgress(Listener):
    """Messages, tables and bars on standard error, which leaves standard output to results."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._warned: dict[str, set[str]] = defaultdict(set)

    def log(self, message: str) -> None:
        """One line, wrapped only by the terminal itself."""
        self.console.print(message, markup=False, soft_wrap=True)

    def warn(self, message: str, kind: str = "") -> None:
        """Each once, and the first few of a kind: a corpus may have thousands."""
        known = self._warned[kind]
        if message in known or len(known) > _MOST_WARNINGS:
            return
        known.add(message)
        more = "more warnings of this kind are not shown; `speechxfer check` lists them"
        self.log(f"warning: {message if len(known) <= _MOST_WARNINGS else more}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The first column to the left, short ones to the right."""
        table = Table(box=None, pad_edge=False, expand=False)
        for number, column in enumerate(columns):
            values = [row[number] for row in rows]
            narrow = number > 0 and all(len(value) < 16 for value in values)
            table.add_column(column, justify="right" if narrow else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(value) for value in row))
        if title:
            self.console.print(Text(title, style="bold"), soft_wrap=True)
        self.console.print(table)

    @contextlib.contextmanager
    def task(self, description: str, total: float) -> Iterator[Callable[[float], None]]:
        """A bar that goes away when the work is done."""
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(description, total=total)
            yield lambda done: bar.advance(task, done)
