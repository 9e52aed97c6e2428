"""Read JSON files with an object for each utterance: one object a line, or a list of objects."""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from speechxfer.data import textfiles
from speechxfer.errors import DataError
from speechxfer.stores import spelled

#: Keys under which an object may hold the list of rows.
_CONTAINERS = ("data", "rows", "utterances", "samples", "items", "records", "examples")
_WANTED = 'wanted one object a line, such as {"audio": "a.wav", "text": "yes"}'
_BETWEEN = re.compile(r"[\s,]*")

_Numbered = Iterator[tuple[int, Any]]


def read(
    path: Path, suffixes: Sequence[str], refused: Callable[[DataError], None]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object with its first line number; null and NaN become None.

    A file holds one object a line, a list of objects, or an object with such a list under a key such as `data`.

    Args:
        path: path of the file.
        suffixes: see `textfiles.lines`.
        refused: called with the error of each row that cannot be used; it may raise it.

    Raises:
        DataError: the file cannot be read, or its list does not end.
    """
    lines = enumerate(textfiles.lines(path, suffixes), start=1)
    number, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    if _is_row(first):
        values = _by_line(itertools.chain([(number, first)], lines), path, refused)
    else:
        text = "\n" * (number - 1) + first + "".join(line for _, line in lines)
        values = _whole(text, path, refused)
    for number, value in values:
        if isinstance(value, dict):
            # No value but NaN differs from itself.
            has_nan = any(map(operator.ne, value.values(), value.values()))
            yield number, {name: None if _is_nan(one) else one for name, one in value.items()} if has_nan else value
        else:
            refused(DataError(f"{spelled(path)}:{number}: a JSON {type(value).__name__}, not an object; {_WANTED}"))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_row(line: str) -> bool:
    """Whether a line is a whole row, and not an object that contains all rows."""
    try:
        value = _loaded(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and _container(value) is None


def _by_line(lines: Iterator[tuple[int, str]], path: Path, refused: Callable[[DataError], None]) -> _Numbered:
    for number, line in lines:
        if line.strip():
            try:
                yield number, _loaded(line)
            except (ValueError, RecursionError) as error:
                refused(DataError(f"{spelled(path)}:{number}: not JSON ({error}); {_WANTED}"))


def _whole(text: str, path: Path, refused: Callable[[DataError], None]) -> _Numbered:
    """The rows of a list, or objects that take several lines; if it is neither, each line is an error."""
    try:
        return iter(list(_values(text, _start(text))))
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("["):
            raise DataError(f"{spelled(path)}: a JSON list that cannot be read ({error}); correct it, or copy the file again") from error  # fmt: skip  # noqa: E501
        return _by_line(enumerate(text.splitlines(keepends=True), start=1), path, refused)


def _start(text: str) -> int:
    """Position of the first row: behind the bracket of the list, if there is one."""
    if not text.lstrip().startswith("{"):
        return text.find("[") + 1
    value, end = _decoder.raw_decode(text, text.index("{"))
    name = None if text[end:].strip() else _container(value)
    return 0 if name is None else text.index("[", text.index(json.dumps(name))) + 1


def _values(text: str, place: int) -> _Numbered:
    """JSON values with their line numbers, from a position to the end of the list or of the text.

    Raises:
        ValueError: the text is not JSON, or the list does not end.
    """
    line, is_list = 1 + text.count("\n", 0, place), place > 0
    while True:
        start = place + len(_BETWEEN.match(text, place)[0])  # type: ignore[index]
        line += text.count("\n", place, start)
        if start == len(text) or (is_list and text[start] == "]"):
            break
        value, place = _decoder.raw_decode(text, start)
        yield line, _checked(value, text[start:place])
        line += text.count("\n", start, place)
    if is_list and start == len(text):
        raise ValueError("it does not end: the file was cut short")
    if text.lstrip().startswith("[") and text[start + 1 :].strip():
        raise ValueError("more than one list")


def _container(value: dict[str, Any]) -> str | None:
    """The key under which an object holds the list of rows; None if it has none."""
    for name in _CONTAINERS:
        if isinstance(rows := value.get(name), list) and rows and all(isinstance(row, dict) for row in rows):
            return name
    return None


def _loaded(line: str) -> Any:
    return _checked(_decoder.decode(line.strip()), line)


def _checked(value: Any, written: str) -> Any:
    if "\\u" in written:  # half of a surrogate pair is valid JSON, but cannot be written as text later
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return values


_decoder = json.JSONDecoder(object_pairs_hook=_each_once)
