"""Mutations of documents by their values, after which a parser still accepts them."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias

import tomli_w

#: A list or dictionary, and where in it a value is.
_Place: TypeAlias = tuple[Any, Any]
#: Values at the limits of what a reader may expect.
_EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 255, 2**31, -(2**31), 2**63, 10**30, 10**400, 0.0, -0.0, 0.5, 1e-300, 1e300,
    math.inf, -math.inf, math.nan, "", " ", "a", "0", "-1", "1e999", "nan", "\n", "\r", "\x00", "\x1b[31m", "\u2028",
    "\ud800", "é", "İ", "../x", "/", "~x", "x" * 300, [], {}, [[]], [None], [0], [""], {"": 0}, {"a": {}}, "http://x/y",
    "C:\\x", "5s", "none",
)  # fmt: skip


def mutated(data: bytes, syntax: str, random: Random) -> bytes | None:
    """The document with one to three values changed; None where it cannot be parsed or written."""
    try:
        if syntax == "toml":
            return tomli_w.dumps(_changed(tomllib.loads(data.decode()), random)).encode()
        if syntax == "jsonl":
            rows = [json.loads(line) for line in data.splitlines()]
            return b"".join(_dumped(row) + b"\n" for row in _changed(rows, random))
        return _dumped(_changed(json.loads(data), random))
    except (ValueError, TypeError, RecursionError, AttributeError, OverflowError):
        return None


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _changed(document: Any, random: Random) -> Any:
    root = [copy.deepcopy(document)]
    for _ in range(random.randint(1, 3)):
        _change(random.choice(list(_places(root))), root, random)
    return root[0]


def _change(place: _Place, root: list[Any], random: Random) -> None:
    container, key = place
    value = container[key]
    kind = random.randrange(8)
    if kind == 0 and container is not root:
        del container[key]
    elif kind == 1:
        container[key] = [value]
    elif kind == 2:
        other, name = random.choice(list(_places(root)))
        container[key] = copy.deepcopy(other[name])
    elif kind == 3 and isinstance(value, str):
        at = random.randint(0, len(value))
        container[key] = value[:at] + str(random.choice(_EXTREMES)) + value[at:]
    elif kind == 4 and isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = random.choice([-value, value + 1, value - 1, value * 2, value * 1000, value / 3])
    elif kind == 5 and isinstance(container, dict):
        container[str(random.choice([*container, "version", "x"])) + random.choice(["", "2", " "])] = value
    else:
        container[key] = copy.deepcopy(random.choice(_EXTREMES))


def _places(container: Any) -> Iterator[_Place]:
    keys = container if isinstance(container, dict) else range(len(container))
    for key in keys:
        yield container, key
        if isinstance(container[key], dict | list):
            yield from _places(container[key])
