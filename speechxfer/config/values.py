"""What a setting may hold: its type with a range, a choice or a path; checked where the value is given."""

from __future__ import annotations

import dataclasses
import functools
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from speechxfer.config.paths import located, located_model
from speechxfer.errors import ConfigError

#: No setting needs a larger number; what exceeds it is a slip of the keyboard.
_LARGEST = 1_000_000_000
_WORDS: dict[type, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may be; NaN and infinity are in no range."""

    least: float
    most: float = _LARGEST
    #: Whether the bounds belong to it.
    with_least: bool = True
    with_most: bool = True

    def refuses(self, value: Any) -> bool:
        """Whether a number is outside."""
        above = value >= self.least if self.with_least else value > self.least
        below = value <= self.most if self.with_most else value < self.most
        return not (above and below)

    def __str__(self) -> str:
        above, below = "at least" if self.with_least else "more than", "at most" if self.with_most else "less than"
        return f"{above} {self.least:.12g} and {below} {self.most:.12g}"


@dataclass(frozen=True)
class OneOf:
    """The words that a setting may be."""

    words: tuple[str, ...]

    def refuses(self, value: Any) -> bool:
        """Whether a word is not among them."""
        return value not in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True)
class Place:
    """A path, which becomes absolute; or the name of a model, which does so where it is a folder."""

    is_model: bool = False
    may_be_empty: bool = False

    def refuses(self, value: Any) -> bool:
        """Whether it cannot be the name of a file."""
        return (
            (not value and not self.may_be_empty)
            or "\0" in value
            or any("\ud800" <= character <= "\udfff" for character in value)
        )

    def __str__(self) -> str:
        return "a folder, a package or a hub id" if self.is_model else "a path in UTF-8"


@dataclass(frozen=True)
class Kind:
    """What a setting holds."""

    type: type
    limit: Range | OneOf | Place | None = None
    optional: bool = False
    #: Whether it is a list of such values.
    several: bool = False

    @property
    def is_group(self) -> bool:
        """Whether it is a table of settings."""
        return dataclasses.is_dataclass(self.type)

    @classmethod
    def of(cls, hint: Any) -> Kind:
        """Read a type annotation."""
        if typing.get_origin(hint) is list:
            return dataclasses.replace(cls.of(typing.get_args(hint)[0]), several=True)
        if typing.get_origin(hint) in (types.UnionType, typing.Union):
            (inner,) = (one for one in typing.get_args(hint) if one is not types.NoneType)
            return dataclasses.replace(cls.of(inner), optional=True)
        if typing.get_origin(hint) is typing.Annotated:
            inner, limit = typing.get_args(hint)
            return cls(inner, limit)
        return cls(hint)

    def check(self, name: str, value: Any) -> None:
        """Look whether the setting `name` may have this value.

        Raises:
            ConfigError: it may not; with the value and what is wanted.
        """
        if value is None and self.optional:
            return
        if self.several:
            if not isinstance(value, list):
                raise ConfigError(f"{name} is {shown(value)}; wanted a list, for instance [{shown(value)}]")
            for item in value:
                dataclasses.replace(self, several=False).check(name, item)
            return
        if isinstance(self.limit, Place) and isinstance(value, os.PathLike):
            value = os.fspath(value)
        wanted = (int, float) if self.type is float else self.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.type is not bool):
            raise ConfigError(self._wrong_type(name, value))
        if self.limit is not None and self.limit.refuses(value):
            raise ConfigError(f"{name} is {shown(value)}; wanted {self.limit}")

    def _wrong_type(self, name: str, value: Any) -> str:
        if self.is_group:
            return f"{name} is a group of settings; wanted {name}.KEY, found {shown(value)}"
        limits = f", {self.limit}" if self.limit is not None else ""
        hint = f'; quote it to make it text: "{value}"' if self.type is str and not isinstance(value, Mapping) else ""
        seen = {str: "text", float: "no whole number" if self.type is int else "a number"}.get(type(value))
        found = f"{name} is {shown(value)}" + (f", which is {seen}" if seen else "")
        return f"{found}; wanted {_WORDS[self.type]}{limits}{hint}"


def shown(value: Any) -> str:
    """A value as a TOML file or the command line has it, shortened."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def kinds(table: type) -> Mapping[str, Kind]:
    """What each setting of a table holds, in order."""
    return _kinds(table)


@functools.cache
def _kinds(table: Any) -> Mapping[str, Kind]:
    hints = typing.get_type_hints(table, include_extras=True)
    return {item.name: Kind.of(hints[item.name]) for item in dataclasses.fields(table)}


class Table:
    """A group of settings, each checked when it is given; `group` is what the group is called in a file."""

    _prefix: ClassVar[str] = ""

    def __init_subclass__(cls, group: str = "") -> None:
        cls._prefix = f"{group}." if group else ""

    def __post_init__(self) -> None:
        for name, kind in kinds(type(self)).items():
            value = getattr(self, name)
            if kind.is_group and isinstance(value, Mapping):
                from speechxfer.config.reading import build  # late: it reads tables

                value = build(kind.type, value, f"{self._prefix}{name}.")
                object.__setattr__(self, name, value)
            kind.check(f"{self._prefix}{name}", value)
            if isinstance(kind.limit, Place) and value:
                path = os.fspath(value)
                object.__setattr__(self, name, located_model(path) if kind.limit.is_model else located(path))
