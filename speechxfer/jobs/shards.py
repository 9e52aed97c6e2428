"""Shards of results: lines of JSON, as they come or as a Parquet file; each whole or absent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.errors import DataError
from speechxfer.storage import replacing, writing
from speechxfer.stores.stored import LocalFile

if TYPE_CHECKING:
    from speechxfer.stores.parquet import Table

FORMATS = ("jsonl", "parquet")
"""The suffixes of shards."""

_ID = b'{"id": '
_WORD = {"start": "double", "end": "double", "text": "string", "confidence": "double"}
#: The columns of Parquet files.
_COLUMNS: dict[str, Any] = {
    "id": "string", "audio": "string", "start": "double", "duration": "double", "audio_stream": "int64",
    "audio_channel": "int64", "reference": "string", "text": "string", "segments": [{**_WORD, "words": [_WORD]}],
    "error": "string",
}  # fmt: skip


def found(folder: Path) -> list[Path]:
    """The shards of a folder, in order."""
    return sorted(path for one in FORMATS for path in folder.glob(f"part-*.{one}"))


def line(result: Mapping[str, Any]) -> bytes:
    """A result as a line of JSON, without what is not known of it."""
    known = {name: value for name, value in result.items() if value is not None}
    return json.dumps(known, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def write(path: Path, lines: bytes) -> None:
    """Write a shard.

    Args:
        path: with one of `FORMATS` as its suffix.
        lines: results as JSON, each of which begins with its `id`.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            from speechxfer.stores import parquet

            parquet.write_json(str(temporary), lines, _COLUMNS)
        else:
            temporary.write_bytes(lines)


def ids(path: Path) -> Iterator[str]:
    """The ids of the rows of a shard.

    Raises:
        DataError: it is damaged.
    """
    with reading(path):
        if path.suffix == ".parquet":
            for row in _table(path).rows(["id"]):
                yield row["id"]
        else:
            with path.open("rb") as file:
                yield from map(_id, file)


def rows(path: Path) -> Iterator[Any]:
    """The rows of a shard, with all columns, as JSON has them; for use inside `reading`.

    Raises:
        OSError, ValueError: it is damaged.
    """
    if path.suffix == ".parquet":
        yield from _table(path).rows(list(_COLUMNS))
    else:
        with path.open("rb") as file:
            yield from map(json.loads, map(_checked, file))


def remove_failed(path: Path) -> int:
    """Remove the rows with an error from a shard, and a shard that has no others; returns how many there were.

    Raises:
        DataError: it is damaged.
        StorageError: it cannot be written; it is as before.
    """
    with reading(path):
        each = list(rows(path))
    kept = [row for row in each if row.get("error") is None]
    if not kept:
        with writing(path):
            path.unlink()
    elif len(kept) < len(each):
        write(path, b"".join(map(line, kept)))
    return len(each) - len(kept)


def _table(path: Path) -> Table:
    from speechxfer.stores.parquet import Table

    return Table(LocalFile(str(path)))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report what goes wrong while a shard is read.

    Raises:
        DataError: it is damaged.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({error}); remove the shard, and its rows are done again") from error


def _id(line: bytes) -> str:
    """The first value of a line, without a look at the others."""
    name: str = json.JSONDecoder().raw_decode(_checked(line)[len(_ID) :].decode())[0]
    return name


def _checked(line: bytes) -> bytes:
    if not (line.startswith(_ID) and line.endswith(b"}\n")):
        raise ValueError("a line is no result")
    return line
