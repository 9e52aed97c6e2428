"""Names of manifest columns, and parsing of their values."""

from __future__ import annotations

import ast
import functools
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from speechxfer.errors import DataError

#: Names of columns: our own, then those of NeMo and Common Voice. Two names of one column are an error.
NAMES = {
    "audio": ("audio", "audio_filepath", "path"),
    "text": ("text", "sentence"),
    "label": ("label",),
    "start": ("start", "offset"),
    "duration": ("duration",),
    "end": ("end",),
    "speaker": ("speaker", "client_id"),
    "audio_stream": ("audio_stream",),
    "audio_channel": ("audio_channel",),
}
#: Names that count only if a row has none of the names above, as in data sets of the Hugging Face hub. If there are
#: several of one column, the first counts and the others are ordinary columns.
OTHER_NAMES = {
    "audio": ("file_name", "filename", "audio_path", "wav", "wav_path", "file", "filepath"),
    "text": ("transcription", "transcript", "normalized_text", "raw_transcription"),
    "label": ("labels",),
    "speaker": ("speaker_id",),
}
_COLUMNS = {name: column for column, names in NAMES.items() for name in names}
RESERVED = frozenset(_COLUMNS)
#: Columns in which other programs write times or channels in their own way; a manifest ignores them.
UNUSED = frozenset(
    ("channel", "start_time", "end_time", "begin", "stop", "start_ms", "end_ms", "duration_ms", "offset_ms")
)

#: Separator of the classes of an utterance with several.
SEPARATOR = "|"
#: Missing values of numbers or names, as programs write them.
_MISSING_NUMBERS = frozenset(("", "nan", "none", "null", "n/a", "na", "<na>", "nat", "#n/a", "-"))
MISSING_NAMES = frozenset(("nan", "NaN", "<NA>", "NaT", "#N/A"))
_LONGEST_S = 1e9  # 31 years; a larger number is not a time in an audio file
_SAME_S = 0.01  # two ends that differ by less are taken for equal
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)


@functools.lru_cache(maxsize=1024)
def plain(name: str) -> str:
    """A column name as it is compared: "File Name" is `file_name`."""
    return re.sub(r"[\s\-]+", "_", name.strip().casefold())


def known_as(name: str) -> str | None:
    """The column that a name stands for: "speaker" for `speaker`, `client_id` and `speaker_id`; None for most names."""
    spelled = plain(name)
    others = (column for column, names in OTHER_NAMES.items() if spelled in names)
    return _COLUMNS.get(spelled) or next(others, None)


def is_number(name: str) -> bool:
    """Whether a column of this name holds seconds, or the index of a stream or channel."""
    return _COLUMNS.get(plain(name)) in ("start", "duration", "end", "audio_stream", "audio_channel")


def meanings(names: Iterable[str], origin: str) -> dict[str, str]:
    """Which column each name stands for; names that stand for none are left out.

    Raises:
        DataError: two names stand for one column.
    """
    found, problem = _meanings(tuple(names))
    if problem:
        raise DataError(f"{origin}: {problem}; wanted one of them")
    return found


@functools.lru_cache(maxsize=256)
def _meanings(names: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """As `meanings`, with the error as a text; empty if there is none."""
    found: dict[str, str] = {}
    for name in names:
        if (column := _COLUMNS.get(plain(name))) is None:
            continue
        if column in found.values():
            first = next(other for other, meant in found.items() if meant == column)
            return found, f"{first} and {name} both mean the {column}"
        found[name] = column
    by_plain = {plain(name): name for name in reversed(names)}
    for column, others in OTHER_NAMES.items():
        there = [by_plain[other] for other in others if other in by_plain]
        if there and column not in found.values():
            found[there[0]] = column
    return found, ""


def values(row: Mapping[str, Any], origin: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parse a row.

    Returns:
        The values of known columns by column, and the values of all others by their own names.

    Raises:
        DataError: a value cannot be used.
    """
    known: dict[str, Any] = {}
    meant = meanings(row, origin)
    for name, column in meant.items():
        if (value := row[name]) is not None and (read := _READERS[column](name, value, origin)) is not None:
            known[column] = read
    if "end" in known:
        _apply_end(known, next(name for name, column in meant.items() if column == "end"), origin)
    extra = {name: value for name, value in row.items() if name not in meant and value is not None}
    return known, extra


def plain_name(text: str) -> str:
    """The name of a class or a speaker, with single spaces and in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _apply_end(known: dict[str, Any], name: str, origin: str) -> None:
    """Replace the end of an utterance by its duration."""
    if (end := known.pop("end", None)) is None:
        return
    start = known.get("start", 0.0)
    if end <= start:
        raise DataError(f"{origin}: {name} is {end:g}, not after the start at {start:g} s; wanted seconds from the beginning of the file")  # fmt: skip  # noqa: E501
    duration = known.setdefault("duration", round(end - start, 6))
    if abs(start + duration - end) > _SAME_S:
        raise DataError(f"{origin}: {name} is {end:g}, but start and duration end at {start + duration:g} s; correct or remove one of them")  # fmt: skip  # noqa: E501


def _string(name: str, value: Any, origin: str) -> str:
    if isinstance(value, str):
        return value
    hint = f'; quote it: "{value}"' if _is_number(value) else ""
    raise DataError(f"{origin}: {name} is {_shown(value)}; wanted a string{hint}")


def _audio(name: str, value: Any, origin: str) -> str:
    if isinstance(value, dict) and isinstance(value.get("path"), str) and not value.get("bytes"):
        return str(value["path"])  # as `datasets` writes it
    return _string(name, value, origin)


def _name(name: str, value: Any, origin: str) -> str | None:
    if _is_number(value):  # a name that is a number; pandas writes 1 as 1.0 if other rows have none
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    text = _string(name, value, origin)
    return None if text.strip() in MISSING_NAMES else plain_name(text)


def _label(name: str, value: Any, origin: str) -> str | None:
    several = _listed(value)
    if several is None:
        return _name(name, value, origin)
    names = [one for part in several if (one := _name(name, part, origin))]
    if separated := [one for one in names if SEPARATOR in one]:
        raise DataError(f"{origin}: {name} holds {separated[0]!r}; wanted names without {SEPARATOR!r}, which separates them")  # fmt: skip  # noqa: E501
    return SEPARATOR.join(names)


def _listed(value: Any) -> list[Any] | None:
    """Several classes as a list, which a table holds as JSON or Python; None for a single class."""
    if isinstance(value, list):
        return value
    if isinstance(value, str) and _LIST.fullmatch(value):
        readers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
        for reader in readers:
            try:
                read = reader(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            return read if isinstance(read, list) else None
    return None


def seconds(name: str, value: Any, origin: str) -> float | None:
    """The seconds of `start`, `duration` or `end`, from a number, its text, or "00:01:02.5"; None if missing.

    Raises:
        DataError: the value is not a time.
    """
    column = _COLUMNS.get(plain(name))
    number: Any = _parsed(value) if isinstance(value, str) else value
    if number is None:
        return None
    if _is_number(number) and 0 <= number < _LONGEST_S and (number or column == "start"):
        return float(number)
    wanted = "at least 0" if column == "start" else "more than 0 (leave it out to read to the end)"
    raise DataError(f"{origin}: {name} is {_shown(number)}; wanted a number of seconds, {wanted}")


def _count(name: str, value: Any, origin: str) -> int | None:
    number: Any = _parsed(value) if isinstance(value, str) else value
    if number is None:
        return None
    if _is_number(number) and number >= 0 and number % 1 == 0:
        return int(number)
    what = plain(name).removeprefix("audio_")
    raise DataError(f"{origin}: {name} is {_shown(number)}; wanted a number of the file's {what}s, counted from 0")


def _parsed(text: str) -> float | str | None:
    text = text.strip()
    if text.casefold() in _MISSING_NUMBERS:
        return None
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, rest = clock.groups()
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(rest.replace(",", "."))
    try:
        return float(text)
    except ValueError:
        return text


def _is_number(value: Any) -> bool:
    return type(value) is int or (isinstance(value, float) and not math.isnan(value))  # no boolean, which is an int


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


_READERS: dict[str, Callable[[str, Any, str], Any]] = {
    "audio": _audio,
    "text": _string,
    "label": _label,
    "start": seconds,
    "duration": seconds,
    "end": seconds,
    "speaker": _name,
    "audio_stream": _count,
    "audio_channel": _count,
}
