"""Rows of tar shards with names as WebDataset has them: `a.wav`, its text in `a.txt`, its columns in `a.json`."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from speechxfer.audio import AUDIO_SUFFIXES
from speechxfer.errors import DataError
from speechxfer.stores import Stored, spelled, stored
from speechxfer.stores.tar import Member, members

_TEXTS = (".txt", ".json")


def read(path: Path, refused: Callable[[DataError], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    """A row for each recording in a shard, with its number there, counted from 1.

    What belongs to one utterance stands together and has the name of the recording, or that name up to its first dot. A
    text beside no recording is an error, since the utterance would lose it; other members are passed over.

    Args:
        path: of the shard.
        refused: called with the error of each utterance that cannot be used; it may raise it.

    Raises:
        DataError: the shard cannot be read.
    """
    number, name = 0, spelled(path)
    try:
        shard = stored(path)
        walked = _Walk(members(shard))
        seen: set[str] = set()
        for _, group in itertools.groupby(walked, key=lambda one: _key(one.name)):
            try:
                for row in _rows(shard, _once(group, seen)):
                    yield (number := number + 1), row
            except DataError as error:
                refused(DataError(f"{name}:{(number := number + 1)}: {error}"))
        if walked.damage:
            refused(DataError(f"{name}:{number + 1}: {walked.damage.strerror}"))
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise DataError(f"{name}: {why}; wanted a tar shard") from error


def _once(group: Iterator[Member], seen: set[str]) -> list[Member]:
    """The members of an utterance, whose name has not been seen before."""
    found = list(group)
    key = _key(found[0].name)
    if key in seen:
        raise DataError(f"{found[0].name} stands twice in the shard, or apart from its text; wanted all members of an utterance one after the other (`tar --sort=name`), and each name once")  # fmt: skip  # noqa: E501
    seen.add(key)
    return found


def count(path: Path) -> int:
    """How many recordings a shard has, as far as it can be read."""
    with contextlib.suppress(OSError):
        return sum(PurePosixPath(one.name).suffix.lower() in AUDIO_SUFFIXES for one in members(stored(path)))
    return 0


class _Walk:
    """Members as far as the shard can be read, then why it goes no further."""

    def __init__(self, found: Iterator[Member]) -> None:
        self._found = found
        self._any = False
        self.damage: OSError | None = None

    def __iter__(self) -> Iterator[Member]:
        try:
            for one in self._found:
                self._any = True
                yield one
        except OSError as error:
            if not self._any:
                raise
            self.damage = error


def _key(name: str) -> str:
    """The name up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _rows(shard: Stored, group: Sequence[Member]) -> Iterator[dict[str, Any]]:
    by_name = {member.name: member for member in group}
    recordings = [one for one in group if PurePosixPath(one.name).suffix.lower() in AUDIO_SUFFIXES]
    texts = [one for one in group if one.name.endswith(_TEXTS)]
    if texts and not recordings:
        raise DataError(f"{texts[0].name} is a text without its recording; wanted both one after the other (`tar --sort=name`)")  # fmt: skip  # noqa: E501
    for recording in recordings:
        stems = (recording.name.rpartition(".")[0], _key(recording.name))
        row: dict[str, Any] = {}
        for suffix in (".json", ".txt"):
            if beside := next((by_name[name] for stem in stems if (name := f"{stem}{suffix}") in by_name), None):
                row |= _values(shard, beside)
        values = {name: value for name, value in row.items() if name not in _NAMES}
        yield {"audio": f"{PurePath(shard.name).name}/{recording.name}", **values}


#: What a .json may call the file that it was made for.
_NAMES = ("audio", "audio_filepath", "path", "file_name")


def _values(shard: Stored, member: Member) -> dict[str, Any]:
    try:
        text = shard.read(member.start, member.stop).decode("utf-8-sig")
        values = json.loads(text) if member.name.endswith(".json") else {"text": text.strip()}
    except OSError as error:
        raise DataError(f"{member.name}: {error.strerror}") from error
    except ValueError as error:
        wanted = "a JSON object" if member.name.endswith(".json") else "UTF-8"
        raise DataError(f"{member.name} cannot be read ({error}); wanted {wanted}") from error
    if not isinstance(values, dict):
        raise DataError(
            f"{member.name} is a JSON {type(values).__name__}; wanted an object with the columns of a manifest"
        )
    return values
