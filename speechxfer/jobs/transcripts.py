"""The texts that a job has written, beside the utterances of a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from speechxfer.data.manifest import Manifest
from speechxfer.data.utterance import Utterance
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.errors import DataError
from speechxfer.jobs import shards
from speechxfer.jobs.output import JOB_FILE
from speechxfer.jobs.rows import Row


class Transcripts(NamedTuple):
    """Utterances of a manifest that have a text, and those that have an error in its place, with that error."""

    manifest: Manifest
    predictions: list[Hypothesis]
    failed: list[tuple[Utterance, str]]


def is_job(name: str) -> bool:
    """Whether a name is that of a folder of results."""
    return (Path(name).expanduser() / JOB_FILE).is_file()


def transcripts_of(folder: Path, manifest: Manifest) -> Transcripts:
    """What `transcribe --output` wrote for the utterances of a manifest.

    Raises:
        DataError: a shard is damaged, or an utterance has no row.
    """
    found = {row["id"]: row for row in _rows(folder)}
    rows = [found.get(Row.of(utterance).id) for utterance in manifest]
    if lacking := [utterance for utterance, row in zip(manifest, rows, strict=True) if row is None]:
        raise DataError(f"{folder}: holds no row for {len(lacking):,} of {len(manifest):,} utterances, the first of which is {lacking[0].origin}; wanted what `speechxfer transcribe` wrote for this manifest, all of it")  # fmt: skip  # noqa: E501
    pairs = [(utterance, row) for utterance, row in zip(manifest, rows, strict=True) if row is not None]
    good = [(utterance, _hypothesis(row)) for utterance, row in pairs if row.get("error") is None]
    failed = [(utterance, row["error"]) for utterance, row in pairs if row.get("error") is not None]
    if not good:
        raise DataError(f"{folder}: all {len(failed):,} rows have an error; the first is {failed[0][1]}")
    return Transcripts(Manifest([utterance for utterance, _ in good]), [text for _, text in good], failed)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(path for path in folder.glob("part-*") if path.suffix.removeprefix(".") in shards.FORMATS):
        yield from shards.rows(path)


def _hypothesis(row: Mapping[str, Any]) -> Hypothesis:
    words = [Word(**word) for segment in row.get("segments") or [] for word in segment.get("words") or []]
    return Hypothesis(row["text"], tuple(words))
