"""Read text files: UTF-8 with or without a byte order mark, UTF-16, and line endings of any system."""

from __future__ import annotations

import codecs
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from speechxfer.errors import DataError
from speechxfer.placeholders import placeholder
from speechxfer.stores import spelled, stored

_HEAD = 64


def is_utf16(path: Path) -> bool:
    """Whether the first bytes of a file are UTF-16; false for an unreadable file."""
    try:
        with stored(path).open() as file:
            return _encoding(file.read(_HEAD)) != "utf-8"
    except OSError:
        return False


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[:8:2], head[1:8:2]
    if len(odd) == 4 and all(even) and not any(odd):
        return "utf-16-le"
    if len(odd) == 4 and all(odd) and not any(even):
        return "utf-16-be"
    return "utf-8"


def lines(path: Path, suffixes: Sequence[str] = ()) -> Iterator[str]:
    """The lines of a text file, with their line endings and without a byte order mark.

    Args:
        path: of the file.
        suffixes: of files in the same folder to suggest if the file is missing.

    Raises:
        DataError: a missing file, a pointer of Git LFS or a web page in its place, or a line that is neither UTF-8 nor
            UTF-16.
    """
    try:
        with cast(io.BufferedReader, stored(path).open()) as file:
            head = file.peek(_HEAD)[:_HEAD]
            if found := placeholder(head):
                raise DataError(f"{spelled(path)}: {found}")
            encoding = _encoding(head)
            yield from _utf8_lines(path, file) if encoding == "utf-8" else _utf16_lines(path, file, encoding)
    except FileNotFoundError as error:
        siblings = [file.name for file in path.parent.glob("*") if file.suffix.lower() in suffixes]
        near = difflib.get_close_matches(path.name, siblings, n=1)
        hint = f"did you mean {path.parent / near[0]}?" if near else "wanted the path of a text file"
        raise DataError(f"{spelled(path)}: no such file; {hint}") from error
    except OSError as error:
        raise DataError(f"{spelled(path)}: cannot be read ({error.strerror}); wanted a text file") from error


def read(path: Path) -> str:
    """The whole file; raises the same errors as `lines`."""
    return "".join(lines(path))


def _utf8_lines(path: Path, file: io.BufferedReader) -> Iterator[str]:
    for number, line in enumerate(_lines_with_any_ending(file), start=1):
        try:
            yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            seen = f"not UTF-8 ({line[error.start : error.end]!r})"
            near = line[max(error.start - 20, 0) : error.end + 20].decode("cp1252", errors="replace")
            word = next((word for word in re.findall(r"\w+", near) if not word.isascii()), near)
            convert = f"`iconv -f cp1252 -t utf-8` converts it if {word!r} is right"
            raise DataError(f'{spelled(path)}:{number}: {seen}; save the file as UTF-8 (in Excel "CSV UTF-8"); {convert}') from error  # fmt: skip  # noqa: E501


def _lines_with_any_ending(file: io.BufferedReader) -> Iterator[bytes]:
    """Lines that end in a line feed or in a carriage return."""
    for line in file:
        if line.endswith(b"\n") or b"\r" not in line:
            yield line
        else:
            yield from line.splitlines(keepends=True)


def _utf16_lines(path: Path, file: io.BufferedReader, encoding: str) -> Iterator[str]:
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="\n") as text:
            for line in text:
                yield from io.StringIO(line, newline="") if "\r" in line else [line]
    except UnicodeError as error:
        raise DataError(f"{spelled(path)}: begins as UTF-16, but is not UTF-16 throughout ({error}); save it as UTF-8") from error  # fmt: skip  # noqa: E501
