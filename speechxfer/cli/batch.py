"""Recordings one after the other: what goes wrong with one is reported, and the next one begins."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click

from speechxfer.errors import ConfigError, DiskFullError, SpeechxferError, StorageError, printable
from speechxfer.inference.inputs import Input, expand
from speechxfer.recordings import listed

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
    """Do the work for each input and write its result before the next one begins.

    Whatever an input raises is reported in a line. The exit status is 1 if there was an error, and 130 after Ctrl-C;
    the inputs that failed, and those that were not done because the disk was full or somebody interrupted, are listed.

    Raises:
        ConfigError: options are wrong, which no other input would change.
    """
    failed: list[Input] = []
    for index, item in enumerate(inputs):
        try:
            result = work(item)
            write(item, result)
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


@contextlib.contextmanager
def recording_progress(item: Input, source: Path | bytes) -> Iterator[Callable[[float], None] | None]:
    """A bar on a terminal, gone before anything is printed; elsewhere there is none."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    name = Column(no_wrap=True, overflow="ellipsis", max_width=_WIDEST_NAME)
    columns = (TextColumn("{task.description}", markup=False, table_column=name), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(printable(item.place.name), total=_length_s(source))
        yield lambda seconds: bar.update(task, completed=seconds)


def _length_s(source: Path | bytes) -> float | None:
    """What a header says; None where that cannot be read, which is reported when the sound is."""
    from speechxfer.audio import info

    try:
        return info(source).duration
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
