"""The texts that a job has written, beside the utterances of a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from speechxfer.data.manifest import Manifest
from speechxfer.data.utterance import Utterance
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.errors import DataError
from speechxfer.jobs import shards
from speechxfer.jobs.output import JOB_FILE
from speechxfer.jobs.rows import Row
from speechxfer.records import converted


class Transcripts(NamedTuple):
    """Utterances of a manifest that have a text, and those that have an error in its place, with that error."""

    manifest: Manifest
    predictions: list[Hypothesis]
    failed: list[tuple[Utterance, str]]


@dataclass(frozen=True)
class _Segment:
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True)
class _Written:
    """What is read of a row."""

    id: str
    text: str | None = None
    error: str | None = None
    segments: tuple[_Segment, ...] | None = None

    @property
    def hypothesis(self) -> Hypothesis:
        """Its text, with the times of words."""
        return Hypothesis(self.text or "", tuple(word for one in self.segments or () for word in one.words or ()))


def is_job(name: str) -> bool:
    """Whether a name is that of a folder of results."""
    return (Path(name).expanduser() / JOB_FILE).is_file()


def transcripts_of(folder: Path, manifest: Manifest) -> Transcripts:
    """What `transcribe --output` wrote for the utterances of a manifest.

    Raises:
        DataError: a shard is damaged, or an utterance has no row.
    """
    found = {row.id: row for row in _rows(folder)}
    rows = [found.get(Row.of(utterance).id) for utterance in manifest]
    pairs = [(utterance, row) for utterance, row in zip(manifest, rows, strict=True) if row is not None]
    if len(pairs) < len(manifest):
        first = manifest[rows.index(None)].origin
        raise DataError(f"{folder}: holds no row for {len(manifest) - len(pairs):,} of {len(manifest):,} utterances, the first of which is {first}; wanted what `speechxfer transcribe` wrote for this manifest, all of it")  # fmt: skip  # noqa: E501
    good = [(utterance, row.hypothesis) for utterance, row in pairs if row.error is None]
    failed = [(utterance, row.error) for utterance, row in pairs if row.error is not None]
    if not good:
        raise DataError(f"{folder}: all {len(failed):,} rows have an error; the first is {failed[0][1]}")
    return Transcripts(Manifest([utterance for utterance, _ in good]), [text for _, text in good], failed)


def _rows(folder: Path) -> Iterator[_Written]:
    for path in shards.found(folder):
        with shards.reading(path):
            for row in shards.rows(path):
                yield converted(_Written, row)
