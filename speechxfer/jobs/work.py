"""What is done with the rows of a part: one function, wherever it runs."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from speechxfer.audio import Waveform, blocks
from speechxfer.decoding.options import DecodingOptions
from speechxfer.inference import Open, Read, Recognize, Settings, transcribe_many
from speechxfer.inference.transcript import Transcript
from speechxfer.jobs.output import Done
from speechxfer.jobs.rows import Result, Row, failed
from speechxfer.jobs.shards import line
from speechxfer.model_versions import versions_of

Compute: TypeAlias = Callable[[Iterable[Row]], Iterator[Result]]
"""Makes a result of each row, in order."""


class Work(Protocol):
    """Work that can be sent to other processes, where it is opened."""

    def versions(self) -> dict[str, str]:
        """What has to be the same wherever it is opened, by name; found without opening it."""

    def settings(self) -> dict[str, Any]:
        """Plain values on which its results depend, beside the versions."""

    def open(self, read: Read | None = None) -> Compute:
        """Load what it takes; `read` reads recordings, which is done in this process without it."""


@dataclass(frozen=True)
class Transcription:
    """Transcribing with a model.

    Attributes:
        model: a name as `load` takes it.
        device: as for `load`.
        options: how it decodes.
        vad: how speech is found.
        workers: threads that read recordings, where they are read in the same process.
    """

    model: str
    device: str
    options: DecodingOptions
    vad: str
    workers: int | None = None

    def versions(self) -> dict[str, str]:
        """Those of this package and of the model.

        Raises:
            CheckpointError: there is no such model, or it cannot be read.
        """
        return versions_of(self.model, self.options.language)

    def settings(self) -> dict[str, Any]:
        """How it decodes, and how speech is found."""
        return {"decoding": self.options.given(), "vad": self.vad}

    def open(self, read: Read | None = None) -> Compute:
        """Load the model.

        Raises:
            CheckpointError: there is no such model, or it cannot be read.
            ConfigError: options that it does not have.
        """
        from speechxfer.api.loading import load

        model = load(self.model, device=self.device, language=self.options.language)
        settings = model.segmenting(self.vad, self.workers)
        return functools.partial(transcribed, recognize=model.recognizer(self.options), settings=settings, read=read)


def transcribed(
    rows: Iterable[Row], *, recognize: Recognize, settings: Settings, read: Read | None = None
) -> Iterator[Result]:
    """The result of each row, in order; rows are asked for as they are read.

    Raises:
        ConfigError: an option is wrong, which no other row would change.
    """
    asked: deque[Row] = deque()

    def recordings() -> Iterator[Open]:
        for row in rows:
            asked.append(row)
            yield functools.partial(_sound, row)

    for found in transcribe_many(recordings(), recognize, settings, read=read):
        row = asked.popleft()
        yield failed(row, found) if isinstance(found, Exception) else _result(row, found)


def _sound(row: Row) -> Iterator[Waveform]:
    return blocks(row.source, start=row.start, duration=row.duration, **row.reading)


def _result(row: Row, transcript: Transcript) -> Result:
    found = transcript.to_dict()
    return row.result(duration=found["duration"], text=found["text"], segments=found["segments"])


def computed(rows: Iterable[Row], compute: Compute) -> Iterator[Done]:
    """The results of rows, each as it is written."""
    return map(done_of, compute(rows))


def done_of(result: Result) -> Done:
    """A result as it is written."""
    is_error = "error" in result
    return Done(line(result), 1, int(is_error), 0.0 if is_error else result.get("duration") or 0.0)


def together(found: Iterable[Done]) -> Done:
    """Results of several rows as one."""
    each = list(found)
    return Done(b"".join(one.lines for one in each), *(sum(column) for column in list(zip(*each, strict=True))[1:]))
