"""Several files by one name: patterns such as `train-*.tar`, ranges such as `train-{000..099}.tar`, folders."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from speechxfer.errors import DataError
from speechxfer.stores.address import is_url, spelled

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_pattern(name: str | os.PathLike[str]) -> bool:
    """Whether a name stands for several files; a file on this disk may be called `a[1].tar`."""
    text = os.fspath(name)
    has_magic = glob.has_magic(text) or _RANGE.search(text) is not None
    return has_magic and (is_url(text) or not os.path.lexists(text))


def matches(pattern: str | os.PathLike[str]) -> list[str]:
    """The files that a pattern names, sorted; of a range all, whether they are there or not.

    Raises:
        DataError: a store cannot be asked.
    """
    found: list[str] = []
    try:
        for one in _spread(spelled(pattern)):
            found += sorted(_globbed(one)) if glob.has_magic(one) else [one]
    except OSError as error:
        raise DataError(f"{spelled(pattern)}: cannot be read ({error.strerror})") from error
    return found


def listed(folder: str | os.PathLike[str], suffixes: tuple[str, ...]) -> list[str]:
    """The files in a folder that end so, sorted.

    Raises:
        OSError: the folder cannot be read.
    """
    if is_url(address := spelled(folder)):
        return [one for one in _globbed(f"{address.rstrip('/')}/*") if one.lower().endswith(suffixes)]
    found = (one for one in Path(folder).iterdir() if one.name.lower().endswith(suffixes) and not one.name.startswith("."))  # fmt: skip  # noqa: E501
    return sorted(str(one) for one in found if one.is_file())


def fixed_part(pattern: str | os.PathLike[str]) -> str:
    """The folders of a pattern before the first that is one itself."""
    text = spelled(pattern)
    parts = itertools.takewhile(lambda part: not is_pattern(part), Path(text).parent.parts)
    return spelled(str(Path(*parts)))


def _spread(pattern: str) -> Iterator[str]:
    """One pattern for each number of its ranges, with as many digits as the first has."""
    if (found := _RANGE.search(pattern)) is None:
        yield pattern
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _spread(f"{pattern[: found.start()]}{number:0{len(first)}d}{pattern[found.end() :]}")


def _globbed(pattern: str) -> list[str]:
    if is_url(pattern):
        from speechxfer.stores.remote import matching

        return matching(pattern)
    return glob.glob(pattern, recursive=True)  # noqa: PTH207
