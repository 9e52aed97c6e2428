"""Work without a model, which misbehaves on request; workers import it."""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import CheckpointError, DataError
from speechxfer.inference import Read, Settings
from speechxfer.jobs.rows import Result, Row, failed
from speechxfer.jobs.work import Compute, transcribed


@dataclass(frozen=True)
class Echo:
    """Each row's text is the name of its audio; a row called "kills" kills the worker."""

    model: str = "m"
    problem: str = ""

    def versions(self) -> dict[str, str]:
        return {"model": str(os.getpid()) if self.problem == "differs" else self.model}

    def settings(self) -> dict[str, Any]:
        return {}

    def open(self, read: Read | None = None) -> Compute:
        if self.problem == "missing":
            raise CheckpointError("m: no such model")
        if self.problem == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        return _failing if self.problem == "fails" else _echo


def _failing(rows: Iterable[Row]) -> Iterator[Result]:
    for row in rows:
        yield failed(row, DataError("torn"))


def _echo(rows: Iterable[Row]) -> Iterator[Result]:
    for row in rows:
        if row.audio.endswith("kills.wav"):
            os.kill(os.getpid(), signal.SIGKILL)
        if row.audio.endswith("bug.wav"):
            raise ZeroDivisionError("a bug")
        yield row.result(text=row.audio)


@dataclass(frozen=True)
class Lengths:
    """Each row's text is how many samples of sound were read; `kills_reader` names a row whose reader is killed."""

    kills_reader: str = ""

    def versions(self) -> dict[str, str]:
        return {"model": "lengths"}

    def settings(self) -> dict[str, Any]:
        return {}

    def open(self, read: Read | None = None) -> Compute:
        return functools.partial(transcribed, recognize=_lengths, settings=Settings(), read=read)


def _lengths(waveforms: Sequence[np.ndarray]) -> list[Hypothesis]:
    return [Hypothesis(str(len(waveform))) for waveform in waveforms]


class Doubled:
    """A task that doubles numbers, one of which kills workers."""

    KILLS = 7

    def versions(self) -> dict[str, str]:
        return {}

    def open(self, _readers: int) -> Callable[[Sequence[int]], int]:
        return _doubled

    def lost(self, _item: int, _reason: str) -> int:
        return -1


def _doubled(items: Sequence[int]) -> int:
    (item,) = items
    if item == Doubled.KILLS:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def write_manifest(path: Path, count: int, duration: float) -> Path:
    """A manifest of so many recordings, which need not be there, each of so many seconds."""
    path.write_text(
        "".join(json.dumps({"audio": f"{number}.wav", "duration": duration}) + "\n" for number in range(count))
    )
    return path
