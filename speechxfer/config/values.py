"""Types of settings with ranges, choices and paths, which are checked where a value is given."""

from __future__ import annotations

import dataclasses
import functools
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from speechxfer.config.durations import WANTED, seconds
from speechxfer.config.paths import located, located_model
from speechxfer.errors import ConfigError
from speechxfer.languages import language_tag

#: Larger numbers are typing errors.
_LARGEST = 1_000_000_000
#: The field that holds the groups of settings that are added to a table.
GROUPS = "groups"
_Group = typing.TypeVar("_Group", bound="Table")
_WORDS: dict[type, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Range:
    """A range of numbers; NaN and infinity are in no range."""

    least: float
    most: float = _LARGEST
    #: Whether the bounds are included.
    with_least: bool = True
    with_most: bool = True

    def refuses(self, value: Any) -> bool:
        """Whether a number is outside the range."""
        above = value >= self.least if self.with_least else value > self.least
        below = value <= self.most if self.with_most else value < self.most
        return not (above and below)

    def __str__(self) -> str:
        above, below = "at least" if self.with_least else "more than", "at most" if self.with_most else "less than"
        return f"{above} {self.least:.12g} and {below} {self.most:.12g}"


@dataclass(frozen=True)
class OneOf:
    """A choice of words."""

    words: tuple[str, ...]

    def refuses(self, value: Any) -> bool:
        """Whether a word is not one of them."""
        return value not in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


@dataclass(frozen=True)
class Place:
    """A path, which is made absolute; or a model, which is made absolute if it is a folder."""

    is_model: bool = False
    may_be_empty: bool = False
    #: What may stand in its place, and is no path.
    words: tuple[str, ...] = ()

    def refuses(self, value: Any) -> bool:
        """Whether it cannot be a path."""
        return (
            (not value and not self.may_be_empty)
            or "\0" in value
            or any("\ud800" <= character <= "\udfff" for character in value)
        )

    def __str__(self) -> str:
        path = "a folder, a package or a hub id" if self.is_model else "a path in UTF-8"
        return ", ".join([*self.words, f"or {path}"]) if self.words else path


@dataclass(frozen=True)
class Language:
    """A language by its code or English name, which becomes the code; a name that is not known stays as it is."""

    def refuses(self, _value: Any) -> bool:
        """Never: the model may know it."""
        return False

    def __str__(self) -> str:
        return "a language's code or English name"


@dataclass(frozen=True)
class Duration:
    """A time as text, such as "30m"; empty for none."""

    def refuses(self, value: Any) -> bool:
        """Whether it is not one."""
        try:
            return bool(value) and not seconds(value, "")
        except ConfigError:
            return True

    def __str__(self) -> str:
        return WANTED


#: A fraction below 1.
Fraction = Annotated[float, Range(0, 1, with_most=False)]


@dataclass(frozen=True)
class Kind:
    """The type of a setting."""

    type: type
    limit: Range | OneOf | Place | Language | Duration | None = None
    optional: bool = False
    #: Whether the setting is a list of such values.
    several: bool = False

    @property
    def is_group(self) -> bool:
        """Whether the setting is a table of settings."""
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
        """Check a value of the setting `name`.

        Raises:
            ConfigError: a wrong value; names it and the allowed values.
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
    """A value as in TOML or on the command line, shortened."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def kinds(table: type) -> Mapping[str, Kind]:
    """The type of each setting of a table, in order; also the groups that heads add to it."""
    added = table.added_groups() if issubclass(table, Table) else {}
    return {**_kinds(table), **{name: Kind(group) for name, group in added.items()}}


@functools.cache
def _kinds(table: Any) -> Mapping[str, Kind]:
    hints = typing.get_type_hints(table, include_extras=True)
    return {item.name: Kind.of(hints[item.name]) for item in dataclasses.fields(table) if item.name != GROUPS}


class Table:
    """A group of settings, which are checked on creation; `group` is its name in a file."""

    group: ClassVar[str] = ""

    def __init_subclass__(cls, group: str = "") -> None:
        cls.group = group

    @classmethod
    def added_groups(cls) -> Mapping[str, type[Table]]:
        """Groups of settings that it holds besides its own fields, by name."""
        return {}

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """From all of its settings that are given, by name."""
        return cls(**values)

    def __post_init__(self) -> None:
        prefix = f"{self.group}." if self.group else ""
        own: Any = type(self)
        for name, kind in _kinds(own).items():
            value = getattr(self, name)
            if kind.is_group and isinstance(value, Mapping):
                from speechxfer.config.reading import build  # late: it reads tables

                value = build(kind.type, value, f"{prefix}{name}.")
                object.__setattr__(self, name, value)
            kind.check(f"{prefix}{name}", value)
            if isinstance(kind.limit, Place) and value and value not in kind.limit.words:
                path = os.fspath(value)
                object.__setattr__(self, name, located_model(path) if kind.limit.is_model else located(path))
            elif isinstance(kind.limit, Language) and value:
                object.__setattr__(self, name, language_tag(value))


class OpenTable(Table):
    """A table to which packages add groups of settings; a subclass has a field `groups`, which holds them by name."""

    groups: Mapping[str, Table]

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """From all of its settings that are given, those of added groups by the names of these."""
        added = cls.added_groups()
        groups = {name: value for name, value in values.items() if name in added}
        return cls(**{name: value for name, value in values.items() if name not in added}, **{GROUPS: groups})

    def group_of(self, table: type[_Group]) -> _Group:
        """The settings of an added group, by the class of its table."""
        return typing.cast(_Group, self.groups[table.group])

    def __post_init__(self) -> None:
        super().__post_init__()
        groups = {name: self.groups.get(name, table()) for name, table in self.added_groups().items()}
        object.__setattr__(self, GROUPS, groups)
