"""The folder of a job: whose it is, what is done, and the shards that one process writes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from speechxfer.errors import ConfigError, DataError
from speechxfer.jobs import shards
from speechxfer.jobs.parts import Ids
from speechxfer.storage import only_writer, recover_all, write_json

JOB_FILE = "job.json"
_LOCK = ".lock"
_VERSION = 1
#: A shard is closed at this size, or after so much time, so that little is lost with the process.
_SHARD_ROWS = 10_000
_SHARD_BYTES = 1 << 26
_SHARD_S = 60.0


class Done(NamedTuple):
    """Results of some rows as lines of JSON, and what is counted of them."""

    lines: bytes
    rows: int
    failed: int
    seconds: float


class Output:
    """The folder of a job that this process writes.

    Attributes:
        done: the ids of the rows in its shards.
    """

    def __init__(self, folder: Path, format_: str, *, retry_failed: bool = False) -> None:
        self._folder, self._format = folder, format_
        self._lines: list[bytes] = []
        self._rows = self._bytes = 0
        if retry_failed:
            for path in shards.found(folder):
                shards.remove_failed(path)
        found = shards.found(folder)
        self._next = 1 + max((int(path.stem.removeprefix("part-")) for path in found), default=-1)
        self._opened = time.monotonic()
        self.done = Ids()
        for path in found:
            for name in shards.ids(path):
                if not self.done.add(name):
                    raise DataError(f"{path}: holds {name!r:.200} a second time; remove the shard, and run again")

    def add(self, done: Done) -> None:
        """Keep some results, and write a shard when there is enough for one.

        Raises:
            StorageError: it cannot be written.
        """
        self._lines.append(done.lines)
        self._rows += done.rows
        self._bytes += len(done.lines)
        is_late = time.monotonic() - self._opened >= _SHARD_S
        if self._rows >= _SHARD_ROWS or self._bytes >= _SHARD_BYTES or is_late:
            self.flush()

    def flush(self) -> None:
        """Write what is kept.

        Raises:
            StorageError: it cannot be written.
        """
        if self._lines:
            shards.write(self._folder / f"part-{self._next:06d}.{self._format}", b"".join(self._lines))
            self._next += 1
        self._lines, self._rows, self._bytes, self._opened = [], 0, 0, time.monotonic()


@contextlib.contextmanager
def opened(folder: Path, format_: str, settings: Mapping[str, Any], *, retry_failed: bool = False) -> Iterator[Output]:
    """The folder of a job, new or begun before; nobody else writes there meanwhile, and what is kept is written.

    Args:
        folder: created if it does not exist.
        format_: of shards, one of `shards.FORMATS`.
        settings: plain values on which the results depend.
        retry_failed: rows with an error are removed, and so are missing.

    Raises:
        ConfigError: it holds the output of another job, or other files.
        DataError: a shard is damaged.
        StorageError: another process writes there, or this one cannot.
    """
    with only_writer(folder / _LOCK, str(folder)):
        recover_all(folder)
        _claim(folder, {"version": _VERSION, "format": format_, **json.loads(json.dumps(settings))})
        output = Output(folder, format_, retry_failed=retry_failed)
        try:
            yield output
        finally:
            output.flush()


def _claim(folder: Path, job: Mapping[str, Any]) -> None:
    """Make the folder that of this job, which it may be already."""
    path = folder / JOB_FILE
    if not path.exists():
        if others := sorted(item.name for item in folder.iterdir() if item.name != _LOCK):
            raise ConfigError(f"{folder}: holds {others[0]!r}, but no {JOB_FILE}; wanted a new folder, or that of the same job")  # fmt: skip  # noqa: E501
        write_json(path, job)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        different = {name for name in {*found, *job} if found.get(name) != job.get(name)}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is damaged ({error}); wanted what a job wrote there") from error
    if different:
        name = min(different)
        raise ConfigError(f"{folder}: holds the output of another job, whose {name} is {found.get(name)!r:.80}, and here it is {job.get(name)!r:.80}; choose another --output")  # fmt: skip  # noqa: E501
