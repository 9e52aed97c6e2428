"""How far a job is: on a bar, or in a line a minute where there is no terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Sequence
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from speechxfer.errors import SpeechxferError
from speechxfer.jobs.running import Totals

_EVERY_S = 60.0


class CorpusProgress:
    """Is called with what is done so far; lines of the input are counted meanwhile, for the time that is left."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._total = names, 0
        self._bar: Progress | None = None
        self._began = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        threading.Thread(target=self._count, daemon=True).start()
        if sys.stderr is not None and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task("starting", total=None)
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, totals: Totals) -> None:
        """Show it."""
        if self._bar:
            done = totals.rows + totals.before + totals.repeated
            self._bar.update(TaskID(0), description=self._line(totals), completed=done, total=self._total or None)
        elif time.monotonic() - self._shown >= _EVERY_S:
            self._shown = time.monotonic()
            click.echo(self._line(totals), err=True)

    def _line(self, totals: Totals) -> str:
        of = f" of {self._total:,}" if self._total else ""
        rate = totals.seconds / max(time.monotonic() - self._began, 1e-9)
        return f"{totals.rows + totals.before:,}{of} rows, {totals.seconds / 3600:.1f} h at {rate:.0f}x, {totals.failed:,} failed"  # fmt: skip  # noqa: E501

    def _count(self) -> None:
        from speechxfer.jobs.rows import count

        with contextlib.suppress(SpeechxferError, OSError):  # reported where they are read
            self._total = count(self._names)
