"""Cells of Parquet files; the only place that imports pyarrow.

A file is read by groups of rows, the least that can be had of it. The last few groups are kept, so rows in order cost
one read a group; rows in no order cost one each.
"""

from __future__ import annotations

import errno
import functools
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import PurePath
from typing import Any

from speechxfer.extras import need
from speechxfer.stores.stored import Held, LocalFile, Stored

_MOST_FILES, _MOST_GROUPS = 16, 2
#: What a cell of the Hugging Face's `Audio` holds: the encoded file, and the name that it had.
_BYTES, _NAME = "bytes", "path"


class Table:
    """An open Parquet file.

    Raises:
        OSError: it cannot be read, or is none.
    """

    def __init__(self, file: Stored) -> None:
        need("pyarrow", file.name)
        import pyarrow
        import pyarrow.parquet

        self.name, self._lock = file.name, threading.Lock()
        try:
            self._file = pyarrow.parquet.ParquetFile(file.name if isinstance(file, LocalFile) else file.open())
        except pyarrow.ArrowException as error:
            raise OSError(errno.EIO, f"no Parquet file, or damaged ({_line(error)}); copy it again") from error
        self.schema = self._file.schema_arrow
        self.num_rows: int = self._file.metadata.num_rows
        sizes = (self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups))
        self._starts = list(accumulate(sizes, initial=0))
        self._group = functools.lru_cache(maxsize=_MOST_GROUPS)(self._read_group)

    def rows(self, columns: list[str], count: int = 1000) -> Iterator[dict[str, Any]]:
        """Some columns of each row, in order; `audio.path` is a part of a column.

        Raises:
            OSError: a group of rows cannot be read.
        """
        import pyarrow

        try:
            for batch in self._file.iter_batches(batch_size=count, columns=columns):
                yield from batch.to_pylist()
        except pyarrow.ArrowException as error:
            raise OSError(errno.EIO, f"damaged ({_line(error)}); copy the file again") from error

    def bytes_columns(self) -> tuple[list[str], list[str]]:
        """Names of columns: those of bytes with the name of the file that they were, and those of bytes alone."""
        from pyarrow import types

        def is_bytes(kind: Any) -> bool:
            return bool(types.is_binary(kind) or types.is_large_binary(kind))

        named = [
            field.name
            for field in self.schema
            if types.is_struct(field.type) and any(part.name == _BYTES and is_bytes(part.type) for part in field.type)
        ]
        return named, [field.name for field in self.schema if is_bytes(field.type)]

    def value(self, column: str, row: int) -> Any:
        """What a cell holds; of a column with parts a dictionary.

        Raises:
            OSError: there is no such cell, or it cannot be read.
        """
        if not 0 <= row < self.num_rows or column not in self.schema.names:
            raise FileNotFoundError(errno.ENOENT, f"no such cell: {self.name} has {self.num_rows} rows of {', '.join(self.schema.names)}")  # fmt: skip  # noqa: E501
        group = bisect_right(self._starts, row) - 1
        with self._lock:
            return self._group(group, column)[row - self._starts[group]].as_py()

    def _read_group(self, group: int, column: str) -> Any:
        import pyarrow

        try:
            return self._file.read_row_group(group, columns=[column]).column(0)
        except pyarrow.ArrowException as error:
            raise OSError(errno.EIO, f"damaged ({_line(error)}); copy the file again") from error


def table(file: Stored) -> Table:
    """The table in a file, opened once for each version of it.

    Raises:
        OSError: it cannot be read.
    """
    return _opened(type(file), file.name, file.version())


@functools.lru_cache(maxsize=_MOST_FILES)
def _opened(kind: type[Stored], name: str, _version: object) -> Table:
    return Table(kind(name))


def cell(file: Stored, place: str) -> Stored:
    """The encoded recording in a cell, which is named by its column and the number of its row: `audio/17`.

    Raises:
        OSError: there is no such cell, it is empty, or the file cannot be read.
    """
    column, _, row = place.rpartition("/")
    if not row.isdecimal():
        raise FileNotFoundError(errno.ENOENT, f"no such cell in {file.name}; wanted a column and the number of a row, such as audio/17")  # fmt: skip  # noqa: E501
    value = table(file).value(column, int(row))
    name = value.get(_NAME) if isinstance(value, dict) else None
    data = value.get(_BYTES) if isinstance(value, dict) else value
    if isinstance(data, bytes):
        return Held(f"{file.name}/{place}", data, (file.version(), place))
    near = PurePath(file.name).parent / name if isinstance(name, str) and isinstance(file, LocalFile) else None
    if near is None:
        raise OSError(errno.ENODATA, "the cell is empty (null); wanted the bytes of a recording")
    return LocalFile(str(near))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def write_json(path: str, lines: bytes, columns: Mapping[str, Any]) -> None:
    """Write a file of lines of JSON.

    Args:
        path: of the file.
        lines: an object on each, with some of the columns.
        columns: name -> type: the name of one, a dictionary of such for an object, in a list for a list.

    Raises:
        MissingPackageError: pyarrow is not installed.
        OSError: it cannot be written.
    """
    need("pyarrow", path)
    import pyarrow
    import pyarrow.json
    import pyarrow.parquet

    schema = pyarrow.schema([(name, _type(one)) for name, one in columns.items()])
    reading = pyarrow.json.ReadOptions(block_size=len(lines) + 1)
    parsing = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    table = pyarrow.json.read_json(pyarrow.BufferReader(lines), reading, parsing)
    pyarrow.parquet.write_table(table, path)


def _type(one: Any) -> Any:
    import pyarrow

    if isinstance(one, list):
        return pyarrow.list_(_type(one[0]))
    if isinstance(one, Mapping):
        return pyarrow.struct([(name, _type(inner)) for name, inner in one.items()])
    return pyarrow.type_for_alias(one)
