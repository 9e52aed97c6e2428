"""Read settings from TOML files and `key=value`, merge them, and convert them back to plain values."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer.config.renamed import renamed_setting
from speechxfer.config.tables import FinetuneConfig
from speechxfer.config.values import GROUPS, Table, kinds, shown
from speechxfer.errors import ConfigError

_T = typing.TypeVar("_T", bound=Table)


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file as nested dictionaries.

    Raises:
        ConfigError: a missing file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); wanted a TOML file") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, numbers of thousands of digits
        raise ConfigError(f"{path}: is not TOML ({error})") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Settings of a run from a TOML file, which may be incomplete, as nested dictionaries.

    Raises:
        ConfigError: a missing file, not TOML, an unknown setting, or a wrong value.
    """
    return checked(read_toml(path), str(path))


def read_config(path: Path) -> FinetuneConfig:
    """All settings of a run, from the file in its folder.

    Raises:
        ConfigError: as `read_settings`, or a required setting is missing.
    """
    try:
        return build(FinetuneConfig, read_toml(path))
    except ConfigError as error:
        raise ConfigError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from error


def parse_assignment(text: str) -> dict[str, Any]:
    """`training.epochs=5` -> {"training": {"epochs": 5}}; values as in TOML, bare words are strings.

    Raises:
        ConfigError: no `=` or no key.
    """
    key, equals, raw = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"--set {text!r}: wanted key=value, for instance training.epochs=5")
    return _nested(parts, _value(raw.strip()))


def _value(raw: str) -> Any:
    """The TOML value of a whole text; the text itself if it is not TOML."""
    try:
        found = tomllib.loads(f"found = {{value = {raw}}}")  # in braces, so that a comment is an error
    except (ValueError, RecursionError):
        return raw
    inner = found["found"]
    return inner["value"] if len(found) == len(inner) == 1 else raw


def parse_setting(text: str) -> dict[str, Any]:
    """As `parse_assignment`, and check the setting and its value.

    Raises:
        ConfigError: an unknown setting, or a wrong value.
    """
    return checked(parse_assignment(text), f"--set {text}")


def merge(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge nested dictionaries; later values override earlier ones.

    Raises:
        ConfigError: a name is a group of settings in one dictionary and a value in another.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key, value)
            if isinstance(value, Mapping) != isinstance(below, Mapping):
                given = below if isinstance(value, Mapping) else value
                raise ConfigError(f"{key} is a group of settings; wanted {key}.KEY, found {shown(given)}")
            merged[key] = merge([below, value]) if isinstance(value, Mapping) else value
    return merged


def build(kind: type[_T], values: Mapping[str, Any], where: str = "") -> _T:
    """A table of settings from nested values.

    Args:
        kind: the table.
        values: by name.
        where: prefix of names in messages, such as "plan.".

    Raises:
        ConfigError: an unknown setting (suggests the closest known one), a wrong value, or a missing required setting.
    """
    return _built(kind, values, where, list(_names(kind, where)))


def checked(values: dict[str, Any], origin: str) -> dict[str, Any]:
    """Check values of settings of a run, and return them.

    Raises:
        ConfigError: an unknown setting or a wrong value; the message starts with `origin`.
    """
    try:
        _converted(FinetuneConfig, values, "", list(_names(FinetuneConfig)))
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from error
    return values


def _built(kind: type[_T], values: Mapping[str, Any], where: str, everything: list[str]) -> _T:
    arguments = _converted(kind, values, where, everything)
    required = [item.name for item in _fields(kind) if item.default is item.default_factory is dataclasses.MISSING]
    if missing := [f"{where}{name}" for name in required if name not in arguments]:
        raise ConfigError(f"{', '.join(missing)} must be given, on the command line or in the configuration file")
    return kind.make(arguments)


def _converted(kind: type, values: Mapping[str, Any], where: str, everything: list[str]) -> dict[str, Any]:
    """Values as the table's constructor takes them; `everything` has the names of all settings."""
    known = kinds(kind)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in known:
            if found := renamed_setting(name, value):
                raise ConfigError(f"{found[0]} is now {found[1]}; use the new name")
            raise ConfigError(f"{name} is not a setting; {_suggestion(key, where, known, everything)}")
        setting = known[key]
        if setting.is_group and isinstance(value, Mapping):
            arguments[key] = _built(setting.type, value, f"{name}.", everything)
        elif isinstance(value, Mapping) and value:
            raise ConfigError(f"{name}.{next(iter(value))} is not a setting; {name} is a single value")
        else:
            setting.check(name, value)
            is_whole = setting.type is float and isinstance(value, int)
            arguments[key] = float(value) if is_whole else value
    return arguments


def _suggestion(key: str, where: str, known: Iterable[str], elsewhere: list[str]) -> str:
    """A suggestion: a similar name in this table, or the same name in another one."""
    same = [name for name in elsewhere if name.rpartition(".")[2] == key]
    near = [f"{where}{name}" for name in difflib.get_close_matches(key, list(known), n=1)]
    parts = [name for name in elsewhere if key in name.rpartition(".")[2].split("_")]
    far = difflib.get_close_matches(f"{where}{key}", elsewhere, n=1)
    found = next(iter([*same, *near, *parts, *far]), None)
    return f"did you mean {found}?" if found else f"known: {', '.join(known)}"


def _names(table: type, where: str = "") -> Iterator[str]:
    """Names of all settings; those in groups as group.name."""
    for name, kind in kinds(table).items():
        if kind.is_group:
            yield from _names(kind.type, f"{where}{name}.")
        else:
            yield f"{where}{name}"


def _fields(table: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(table)


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain values without None, which TOML does not have."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            own = {key: item for key, item in value.items() if key != GROUPS} | value.get(GROUPS, {})
            return {key: strip(item) for key, item in own.items() if item is not None}
        return value

    return typing.cast(dict[str, Any], strip(dataclasses.asdict(config)))


def nested(level: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flat`."""
    found: dict[str, Any] = {}
    for name, value in level.items():
        found = merge([found, _nested(name.split("."), value)])
    return found


def _nested(parts: Sequence[str], value: Any) -> dict[str, Any]:
    inner = value if len(parts) == 1 else _nested(parts[1:], value)
    return {parts[0]: inner}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings: `{"plan": {"train_top": 1}}` -> `{"plan.train_top": 1}`."""
    level: dict[str, Any] = {}
    for key, value in values.items():
        level |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return level
