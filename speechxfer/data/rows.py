"""Rows of JSONL, CSV and TSV files as dictionaries, read with their line numbers, and written.

What the columns mean is no matter of this module.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer import storage
from speechxfer.errors import ConfigError, DataError

_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = (".csv", ".tsv")
SUFFIXES = (*_JSON, *_TABLES)


def check_suffix(path: Path) -> None:
    """Refuse a file that is none of `SUFFIXES`.

    Raises:
        ConfigError: so it is.
    """
    if path.suffix.lower() not in SUFFIXES:
        hint = "; a folder becomes one by `speechxfer manifest from-folder`" if path.is_dir() else ""
        raise ConfigError(f"{path}: ends in {path.suffix!r}; wanted a manifest: {', '.join(SUFFIXES)}{hint}")


def read(path: Path, numeric: Collection[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with the line it begins in, counted from 1; null and empty cells are left out.

    Args:
        path: of a file with a suffix of `SUFFIXES`; UTF-8, with a byte order mark or without. TSV is read
            without quoting, as in Common Voice, where sentences hold quotation marks.
        numeric: columns whose cells become floats where they are numbers. All other cells stay strings;
            JSON has types of its own.

    Raises:
        ConfigError: the suffix is another.
        DataError: no such file, a line that is not UTF-8, no row, or not as long as the first one.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    if suffix in _JSON:
        yield from _json_rows(path)
        return
    records = _csv_records(path) if suffix == ".csv" else _tsv_records(path)
    for line, header in records:
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(f"{path}:{line}: two columns are called {twice[0]!r}; wanted each name once")
        break
    for line, cells in records:
        if len(cells) != len(header):
            raise DataError(f"{path}:{line}: number of cells is {len(cells)}; wanted {len(header)}, as in the header")
        row = zip(header, cells, strict=True)
        yield line, {name: _number(cell) if name in numeric else cell for name, cell in row if cell}


def write(path: Path, rows: Sequence[Mapping[str, Any]], first: Sequence[str] = ()) -> None:
    """Write rows in the format of the suffix.

    The columns of a table are those of `first` that any row has, then the others as they appear. What is
    no string becomes JSON there, and a missing value an empty cell.

    Raises:
        ConfigError: the suffix is none of `SUFFIXES`.
        DataError: text that is not Unicode, or a tab or line break for a TSV.
        StorageError: the file cannot be written.
    """
    check_suffix(path)
    suffix = path.suffix.lower()
    written = _json_lines(rows) if suffix in _JSON else _table_lines(rows, _columns(rows, first), path)
    try:
        storage.write_text(path, "".join(written))
    except UnicodeEncodeError as error:  # file names that are not UTF-8 end here
        seen = error.object[max(0, error.start - 40) : error.end]
        raise DataError(f"{path}: {seen!a} is no Unicode text; rename the file, or mend the text") from error


def lines(path: Path) -> Iterator[str]:
    """The lines of any text file, with their ends and without a byte order mark.

    Raises:
        DataError: no such file, or a line that is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
                except UnicodeDecodeError as error:
                    seen = f"not UTF-8 ({line[error.start : error.end]!r})"
                    raise DataError(f"{path}:{number}: {seen}; save the file as UTF-8") from error
    except FileNotFoundError as error:
        siblings = [file.name for file in path.parent.glob("*") if file.suffix.lower() in SUFFIXES]
        near = difflib.get_close_matches(path.name, siblings, n=1)
        hint = f"did you mean {path.parent / near[0]}?" if near else "wanted the path of a manifest"
        raise DataError(f"{path}: no such file; {hint}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); wanted a file with rows") from error


# JSONL


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        wanted = 'wanted one object a line, such as {"audio": "a.wav", "text": "yes"}'
        try:
            row = json.loads(line)
            if "\\u" in line:  # half a surrogate pair is valid JSON but no text, and would fail much later
                json.dumps(row, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not JSON ({error}); {wanted}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: a JSON {type(row).__name__}, no object; {wanted}")
        yield number, {name: value for name, value in row.items() if value is not None}


def _json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# CSV and TSV


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines(path), strict=True)
    number = 1
    try:
        for cells in reader:
            if cells:
                yield number, cells
            number = reader.line_num + 1  # not one more than before: quoted cells hold line breaks
    except csv.Error as error:
        raise DataError(f"{path}:{number}: not CSV ({error}); mend the line") from error


def _tsv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines(path), start=1):
        if cells := line.rstrip("\r\n"):
            yield number, cells.split("\t")


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _columns(rows: Iterable[Mapping[str, Any]], first: Sequence[str]) -> list[str]:
    present = dict.fromkeys(name for row in rows for name in row)
    return [*(name for name in first if name in present), *(name for name in present if name not in first)]


def _table_lines(rows: Sequence[Mapping[str, Any]], columns: list[str], path: Path) -> Iterable[str]:
    records = [columns, *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    if path.suffix.lower() == ".tsv":
        return [_tsv_line(record, f"{path}:{number}") for number, record in enumerate(records, start=1)]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(records)
    return [buffer.getvalue()]


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tsv_line(record: Sequence[str], origin: str) -> str:
    for cell in record:
        if not {"\t", "\r", "\n"}.isdisjoint(cell):
            seen = f"{cell[:60]!r} has a tab or line break, which no TSV can hold"
            raise DataError(f"{origin}: {seen}; write .jsonl or .csv instead")
    return "\t".join(record) + "\n"
