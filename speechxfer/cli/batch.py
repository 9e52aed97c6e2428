"""Recordings one after the other: what goes wrong with one is reported, and the next one begins."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import click

from speechxfer.errors import ConfigError, DiskFullError, SpeechxferError, StorageError, printable
from speechxfer.inference.inputs import Input, expand
from speechxfer.recordings import listed

if TYPE_CHECKING:
    from rich.progress import Progress

_Result = TypeVar("_Result")
_WIDEST_NAME = 40
_INTERRUPTED = 130  # as shells count Ctrl-C


def recordings(names: Sequence[str]) -> list[Input]:
    """The recordings that a command line means; files in folders that are none are named on standard error.

    Raises:
        ConfigError: a folder or pattern matches no recording.
    """
    found = expand(names)
    if found.skipped:
        click.echo(f"skipped {listed(found.skipped)}: no sound in them", err=True)
    return found.recordings


def for_each(
    inputs: Sequence[Input], work: Callable[[Input], _Result], write: Callable[[Input, _Result], None]
) -> None:
    """Do the work for each input and write its result before the next one begins; errors as in `write_each`."""
    write_each(inputs, _done(inputs, work), write)


def _done(inputs: Sequence[Input], work: Callable[[Input], _Result]) -> Iterator[_Result | Exception]:
    for item in inputs:
        try:
            result: _Result | Exception = work(item)
        except Exception as error:
            result = error
        yield result


def write_each(
    inputs: Sequence[Input], results: Iterator[_Result | Exception], write: Callable[[Input, _Result], None]
) -> None:
    """Write the result of each input, as they come in order, or report the error in its place in a line.

    The exit status is 1 if there was an error, and 130 after Ctrl-C; the inputs that failed, and those that were not
    done because the disk was full or somebody interrupted, are listed.

    Raises:
        ConfigError: options are wrong, which no other input would change.
    """
    failed: list[Input] = []
    for index, item in enumerate(inputs):
        try:
            write(item, _raised(next(results)))
        except (ConfigError, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted", err=True)
            _finish(inputs, failed, inputs[index:], _INTERRUPTED)
        except DiskFullError as error:
            _report(item, error)
            _finish(inputs, failed, inputs[index:], 1)
        except Exception as error:
            _report(item, error)
            failed.append(item)
    if failed:
        _finish(inputs, failed, [], 1)


def _raised(result: _Result | Exception) -> _Result:
    if isinstance(result, Exception):
        raise result
    return result


class RecordingProgress:
    """A bar on a terminal, gone before anything is printed; elsewhere there is none."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._inputs = inputs
        self._shown: int | None = None
        self._bar = _bar() if sys.stderr is not None and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, index: int, seconds: float) -> None:
        """Show that so many seconds of a recording are done."""
        if not self._bar:
            return
        if index != self._shown:
            self._shown, item = index, self._inputs[index]
            self._bar.reset(self._bar.task_ids[0], description=printable(item.place.name), total=_length_s(item))
        self._bar.update(self._bar.task_ids[0], completed=seconds)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """No bar, while something is printed."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    name = Column(no_wrap=True, overflow="ellipsis", max_width=_WIDEST_NAME)
    columns = (TextColumn("{task.description}", markup=False, table_column=name), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    bar.add_task("", total=None)
    return bar


def _length_s(item: Input) -> float | None:
    """What a header says; None where that cannot be read, which is reported when the sound is."""
    from speechxfer.audio import info

    source = item.source()
    try:
        return info(source).duration if isinstance(source, Path) else None
    except Exception:
        return None


def _report(item: Input, error: Exception) -> None:
    """One line: the message of an error of ours, or the kind of another one and where it arose."""
    name, text = printable(item.name), printable(str(error))
    if not isinstance(error, SpeechxferError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{name}: {type(error).__name__}: {text or 'no reason given'} ({place.filename}:{place.lineno})"
    elif not isinstance(error, StorageError) and not text.startswith(f"{name}:"):
        text = f"{name}: {text}"
    click.echo(f"Error: {text}", err=True)


def _finish(inputs: Sequence[Input], failed: Sequence[Input], missing: Sequence[Input], status: int) -> None:
    """List what is not done, and exit."""
    if len(inputs) > 1:
        for items, what in ((failed, "failed"), (missing, "not done")):
            if items:
                click.echo(f"{len(items)} of {len(inputs)} recordings {what}:", err=True)
            for item in items:
                click.echo(f"  {printable(item.name)}", err=True)
    sys.exit(status)
