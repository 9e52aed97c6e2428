"""Rows of a job: which sound, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from speechxfer.audio import Options
from speechxfer.data import manifest
from speechxfer.data import rows as files
from speechxfer.data.utterance import Utterance
from speechxfer.errors import DataError, SpeechxferError, printable
from speechxfer.inference.inputs import expand
from speechxfer.sources import AudioSource, source_at
from speechxfer.stores import is_url
from speechxfer.stores.listing import is_pattern

Result: TypeAlias = dict[str, Any]
"""What became of a row: `id` first, then the row's own columns, and `text` with `segments`, or `error`."""


class Row(NamedTuple):
    """A recording, or the `duration` seconds of it that begin at `start`: what is sent to a worker."""

    #: The address of the audio and what of it is read; two rows of one id are the same row.
    id: str
    #: Of the audio, absolute.
    audio: str
    start: float = 0.0
    duration: float | None = None
    stream: int | None = None
    channel: int | None = None
    strict: bool = False
    #: The text that the manifest has for it.
    reference: str | None = None

    @classmethod
    def of(cls, utterance: Utterance) -> Row:
        """The row of a manifest's line."""
        audio, start, duration = utterance.source.key, utterance.start, utterance.duration
        stream, channel = utterance.audio_stream, utterance.audio_channel
        parts = [audio, "" if stream is None else f"#stream{stream}", "" if channel is None else f"#channel{channel}"]
        if start or duration is not None:
            parts.append(f"@{start}" if duration is None else f"@{start}+{duration}")
        return cls(_unicode("".join(parts)), audio, start, duration, stream, channel, utterance.strict, utterance.text)

    @property
    def source(self) -> AudioSource:
        """Its recording."""
        return source_at(self.audio)

    @property
    def reading(self) -> Options:
        """How its recording is read."""
        return {"stream": self.stream, "channel": self.channel, "strict": self.strict}

    def result(self, **found: Any) -> Result:
        """The row with what was found, without what is not known."""
        row = {"id": self.id, "audio": _unicode(self.audio), "start": self.start or None, "duration": self.duration}
        row |= {"audio_stream": self.stream, "audio_channel": self.channel, "reference": self.reference}
        return {name: value for name, value in (row | found).items() if value is not None}


def failed(row: Row, error: Exception) -> Result:
    """The result of a row that something went wrong with."""
    text = printable(str(error))
    return row.result(error=text if isinstance(error, SpeechxferError) else f"{type(error).__name__}: {text}")


def _unicode(name: str) -> str:
    """The name of a file; bytes of it that are not UTF-8 are written as `\\xe9`."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def rows_of(
    names: Iterable[str], *, strict: bool = False, refused: Callable[[DataError], None] | None = None
) -> Iterator[Row]:
    """The rows that a command line names, one at a time: lines of manifests and shards, and recordings.

    Args:
        names: of manifests, shards, folders and patterns of them; all else is recordings (`inference.inputs.expand`).
        strict: a file that is a little shorter than it should be is an error.
        refused: called with the error of each line that cannot be used; without it, the first is raised.

    Raises:
        ConfigError: a folder or pattern holds no recording.
        DataError: a manifest cannot be read, or a line of it cannot be used.
    """
    for name in names:
        for utterance in manifest.stream(Path(name), refused) if is_manifest(name) else _recordings(name):
            row = Row.of(utterance)
            yield row._replace(strict=True) if strict else row


def is_manifest(name: str) -> bool:
    """Whether a name is that of a manifest, of shards, or of a folder or pattern of them."""
    path = Path(name)
    if path.suffix.lower() in (*files.SUFFIXES, *files.SHARDS):
        return True
    if is_pattern(name) or is_url(name) or not path.is_dir():
        return False
    inside = [item for item in path.iterdir() if not item.name.startswith(".")]
    return bool(inside) and all(item.suffix.lower() in files.SHARDS for item in inside)


def count(names: Sequence[str]) -> int:
    """About how many rows there are, which takes a pass over the manifests.

    Raises:
        DataError: as `rows_of`.
    """
    from speechxfer.data.shards import shards

    total = 0
    for name in names:
        if is_manifest(name):
            total += sum(files.count(shard.path) for shard in shards(name))
        else:
            total += len(expand([name]).recordings)
    return total


def _recordings(name: str) -> Iterator[Utterance]:
    for item in expand([name]).recordings:
        if item.path is None:
            raise DataError("-: the standard input has no address that a result could be found by; wanted a file")
        yield Utterance(audio=str(item.path))
