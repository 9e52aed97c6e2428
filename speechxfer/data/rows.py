"""Read and write rows of manifests as dictionaries, with their places in the file.

What the columns mean is known to `columns`, how files are written to `documents`, `tables` and `webdataset`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer import storage
from speechxfer.data import documents, tables
from speechxfer.errors import ConfigError, DataError
from speechxfer.stores import stored

_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = (".csv", ".tsv")
#: Files of text, which are also written.
SUFFIXES = (*_JSON, *_TABLES)
#: Files with the recordings in them.
SHARDS = (".tar", ".parquet")


def check_suffix(path: Path, among: Sequence[str] = SUFFIXES) -> None:
    """Check that the suffix of a file is one of those.

    Raises:
        ConfigError: it is another.
    """
    if path.suffix.lower() not in among:
        hint = "; a folder becomes one by `speechxfer manifest from-folder`" if path.is_dir() else ""
        hint = "; rename a table of text to .csv, or to .tsv where tabs separate it" if path.suffix == ".txt" else hint
        is_packed = path.name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"))
        hint = "; unpack the compression, since no member of such a file can be read without all before it" if is_packed else hint  # fmt: skip  # noqa: E501
        raise ConfigError(f"{path}: ends in {path.suffix!r}; wanted a manifest: {', '.join(among)}{hint}")


def is_table(path: Path) -> bool:
    """Whether a file is CSV or TSV, by its suffix."""
    return path.suffix.lower() in _TABLES


def read(
    path: Path,
    is_number: Callable[[str], bool] = lambda _name: False,
    refused: Callable[[DataError], None] | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its first line number, or its own, counted from 1; null, NaN and empty cells become None.

    Values of a table are strings; values of JSON have their own types.

    Args:
        path: path of a file with one of `SUFFIXES` or `SHARDS`.
        is_number: whether a column of a table holds numbers, which may have a decimal comma.
        refused: called with the error of each row that cannot be used, which is then skipped. Without it, the first
            such error is raised.

    Raises:
        ConfigError: the suffix is another.
        DataError: the file does not exist or is not text; without `refused`, a row cannot be used.
    """
    check_suffix(path, (*SUFFIXES, *SHARDS))
    if path.suffix.lower() == ".tar":
        from speechxfer.data import webdataset  # late: it knows audio

        yield from webdataset.read(path, refused or _raised)
    elif path.suffix.lower() == ".parquet":
        from speechxfer.data import parquet

        yield from parquet.read(path)
    elif is_table(path):
        yield from tables.read(path, SUFFIXES, is_number, refused or _raised)
    else:
        yield from documents.read(path, SUFFIXES, refused or _raised)


def count(path: Path) -> int:
    """About how many rows a file has: lines of a text, recordings in a shard."""
    if path.suffix.lower() == ".tar":
        from speechxfer.data import webdataset

        return webdataset.count(path)
    if path.suffix.lower() == ".parquet":
        from speechxfer.data import parquet

        return parquet.count(path)
    with stored(path).open() as file:
        return sum(block.count(b"\n") for block in iter(functools.partial(file.read, 1 << 20), b""))


def _raised(error: DataError) -> None:
    raise error


def write(path: Path, rows: Sequence[Mapping[str, Any]], first: Sequence[str] = ()) -> None:
    """Write rows in the format of the suffix.

    The columns of a table are those of `first` that any row has, then the others as they appear. A table holds other
    values than strings as JSON, and a missing value as an empty cell.

    Raises:
        ConfigError: the suffix is another than `SUFFIXES`.
        DataError: a text is not Unicode, or holds a tab or line break and the file is TSV.
        StorageError: the file cannot be written.
    """
    check_suffix(path)
    if is_table(path):
        text = tables.written(rows, path, first)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        storage.write_text(path, text)
    except UnicodeEncodeError as error:  # the name of a file may not be UTF-8
        seen = error.object[max(0, error.start - 40) : error.end]
        raise DataError(f"{path}: {seen!a} is not Unicode text; rename the file, or correct the text") from error
