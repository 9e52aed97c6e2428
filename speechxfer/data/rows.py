"""Read and write rows of JSON, CSV and TSV files as dictionaries, with their line numbers.

What the columns mean is known to `columns`, how the files are written to `documents` and `tables`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer import storage
from speechxfer.data import documents, tables
from speechxfer.errors import ConfigError, DataError

_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = (".csv", ".tsv")
SUFFIXES = (*_JSON, *_TABLES)


def check_suffix(path: Path) -> None:
    """Check that the suffix of a file is one of `SUFFIXES`.

    Raises:
        ConfigError: it is another.
    """
    if path.suffix.lower() not in SUFFIXES:
        hint = "; a folder becomes one by `speechxfer manifest from-folder`" if path.is_dir() else ""
        hint = "; rename a table of text to .csv, or to .tsv where tabs separate it" if path.suffix == ".txt" else hint
        raise ConfigError(f"{path}: ends in {path.suffix!r}; wanted a manifest: {', '.join(SUFFIXES)}{hint}")


def is_table(path: Path) -> bool:
    """Whether a file is CSV or TSV, by its suffix."""
    return path.suffix.lower() in _TABLES


def read(
    path: Path,
    is_number: Callable[[str], bool] = lambda _name: False,
    refused: Callable[[DataError], None] | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its first line number, counted from 1; null, NaN and empty cells become None.

    Values of a table are strings; values of JSON have their own types.

    Args:
        path: path of a file with one of `SUFFIXES`.
        is_number: whether a column of a table holds numbers, which may have a decimal comma.
        refused: called with the error of each row that cannot be used, which is then skipped. Without it, the first
            such error is raised.

    Raises:
        ConfigError: the suffix is another.
        DataError: the file does not exist or is not text; without `refused`, a row cannot be used.
    """
    check_suffix(path)
    if is_table(path):
        yield from tables.read(path, SUFFIXES, is_number, refused or _raised)
    else:
        yield from documents.read(path, SUFFIXES, refused or _raised)


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
