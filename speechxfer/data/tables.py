"""Read and write CSV and TSV tables, as spreadsheets and other programs write them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.data import textfiles
from speechxfer.errors import DataError
from speechxfer.stores import spelled

_DELIMITERS = ",;\t"
_DECIMAL_COMMA = re.compile(r"\s*-?\d*,\d+(?:[eE][+-]?\d+)?\s*")
_NAMED_DELIMITER = re.compile(r"sep=(.)\s*")  # the first line of a table for Excel
_QUOTED = re.compile(r'"[^"]*"')

_Lines = Iterator[tuple[int, str]]


@dataclass(frozen=True)
class _Dialect:
    delimiter: str
    quoted: bool


def read(
    path: Path, suffixes: Sequence[str], is_number: Callable[[str], bool], refused: Callable[[DataError], None]
) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Each row as a dictionary with its line number; empty cells are None, empty rows are skipped.

    The header shows which separator a .csv has: comma, semicolon or tab. A .tsv has tabs, and no quotation marks unless
    it is UTF-16 (Excel's "Unicode text"). A column without a name is left out if it is empty, and is `column_3` (its
    number) otherwise. If the separator is not a comma, numbers may have a decimal comma.

    Args:
        path: path of the table.
        suffixes: see `textfiles.lines`.
        is_number: whether a column of this name holds numbers.
        refused: called with the error of each row that cannot be used; it may raise it.

    Raises:
        DataError: the file cannot be read, two columns have one name, or a quotation mark is never closed.
    """
    dialect, lines = _recognized(enumerate(textfiles.lines(path, suffixes), start=1), path)
    records = _quoted_records(lines, dialect.delimiter, path) if dialect.quoted else _plain_records(lines, dialect)
    header: list[str] = []
    for line, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = _header(cells, f"{spelled(path)}:{line}")
            continue
        try:
            yield line, _row(header, cells, dialect, is_number, f"{spelled(path)}:{line}")
        except DataError as error:
            refused(error)


def _recognized(lines: _Lines, path: Path) -> tuple[_Dialect, _Lines]:
    """The separator and the quoting of a table, and its lines from the header on."""
    number, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    is_csv = path.suffix.lower() == ".csv"
    if is_csv and (named := _NAMED_DELIMITER.fullmatch(first)):
        return _Dialect(named[1], quoted=True), lines
    bare = _QUOTED.sub("", first)
    delimiter = max(_DELIMITERS, key=bare.count) if is_csv else "\t"  # the first, if several are as frequent
    return _Dialect(delimiter, is_csv or textfiles.is_utf16(path)), itertools.chain([(number, first)], lines)


def _quoted_records(lines: _Lines, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    numbers: list[int] = []  # of the lines that belong to the record that is being read

    def taken() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield line

    try:
        for cells in csv.reader(taken(), delimiter=delimiter, strict=True):
            yield numbers[0], cells
            numbers.clear()
    except csv.Error as error:
        raise DataError(
            f"{spelled(path)}:{numbers[0] if numbers else 1}: not CSV ({error}); correct the line"
        ) from error


def _plain_records(lines: _Lines, dialect: _Dialect) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.rstrip("\r\n").split(dialect.delimiter)) for number, line in lines)


def _header(cells: list[str], origin: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise DataError(f"{origin}: two columns are called {twice[0]!r}; wanted each name once")
    return names


def _row(
    header: list[str], cells: list[str], dialect: _Dialect, is_number: Callable[[str], bool], origin: str
) -> dict[str, str | None]:
    named = sum(map(bool, header))
    beyond = any(cell.strip() for cell in cells[len(header) :])
    # Spreadsheets omit empty cells at the end; but a row of one cell probably has another separator.
    if beyond or len(cells) < min(named, 2):
        raise DataError(f"{origin}: number of cells is {len(cells)}; wanted {len(header)}, as in the header")
    row: dict[str, str | None] = {}
    for place, (name, cell) in enumerate(itertools.zip_longest(header, cells[: len(header)], fillvalue="")):
        is_decimal = is_number(name) and dialect.delimiter != "," and _DECIMAL_COMMA.fullmatch(cell)
        if name or cell.strip():
            value = cell.replace(",", ".") if is_decimal else cell
            row[name or f"column_{place + 1}"] = value if cell.strip() else None
    return row


# Writing


def written(rows: Sequence[Mapping[str, Any]], path: Path, first: Sequence[str] = ()) -> str:
    """A table with a header, in the format of the suffix: CSV with quoting, TSV without.

    The columns are those of `first` that any row has, then the others in the order of the rows. Values other than
    strings are written as JSON, a missing value as an empty cell.

    Raises:
        DataError: a cell of a TSV holds a tab or a line break.
    """
    columns = _columns(rows, first)
    records = [columns, *([_cell(row.get(name)) for name in columns] for row in rows)]
    if path.suffix.lower() == ".tsv":
        return "".join(_tsv_line(record, f"{spelled(path)}:{number}") for number, record in enumerate(records, start=1))
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(records)
    return buffer.getvalue()


def _columns(rows: Iterable[Mapping[str, Any]], first: Sequence[str]) -> list[str]:
    """The names of all columns, in an order that agrees with that of each row."""
    order: list[str] = []
    for row in rows:
        if not row.keys() <= set(order):
            place = 0
            for name in row:
                if name not in order:
                    order.insert(place, name)
                place = order.index(name) + 1
    return [*(name for name in first if name in order), *(name for name in order if name not in first)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tsv_line(record: Sequence[str], origin: str) -> str:
    for cell in record:
        if not {"\t", "\r", "\n"}.isdisjoint(cell):
            seen = f"{cell[:60]!r} has a tab or line break, which no TSV can hold"
            raise DataError(f"{origin}: {seen}; write .jsonl or .csv instead")
    return "\t".join(record) + "\n"
