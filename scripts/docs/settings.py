"""The page of all settings, from the dataclasses that hold them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from speechxfer.config import FinetuneConfig
from speechxfer.config.values import Kind, OneOf, Range, kinds

_INTRODUCTION = """# Settings

Every setting of a run, generated from `speechxfer/config`. A run's `config.toml` holds all of them.

- In a TOML file: `[training]` and below it `epochs = 5`.
- On the command line: `--set training.epochs=5`, or the option where there is one (`--epochs 5`).
- In Python: `sx.finetune(..., training={"epochs": 5})`.

A value of the wrong type or outside the range is an error that names the setting and what is wanted.
"""
_TYPES: dict[type, str] = {int: "whole number", float: "number", str: "text", bool: "true or false"}


class Setting(NamedTuple):
    """One setting, as the page shows it."""

    name: str
    meaning: str
    allowed: str
    #: As TOML writes it; empty where it has to be given.
    default: str


def page() -> str:
    """The page in Markdown."""
    parts = [_INTRODUCTION]
    for title, about, settings in groups():
        parts.append(f"## {title}\n\n{about}\n")
        parts += [_entry(setting) for setting in settings]
    return "\n".join(parts)


def groups(table: type = FinetuneConfig, prefix: str = "") -> Iterator[tuple[str, str, list[Setting]]]:
    """Title, description and settings of a table, then of each table inside it."""
    own = [name for name, kind in kinds(table).items() if not kind.is_group]
    if own:
        yield prefix.rstrip(".") or "The run", inspect.getdoc(table) or "", [_setting(table, n, prefix) for n in own]
    for name, kind in kinds(table).items():
        if kind.is_group:
            yield from groups(kind.type, f"{prefix}{name}.")


def meanings(table: type) -> dict[str, str]:
    """The `#:` comment above each field of a dataclass, by the field's name."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in map(str.strip, inspect.getsource(table).splitlines()):
        if line.startswith("#:"):
            comment.append(line.removeprefix("#:").strip())
            continue
        if comment and (field := re.match(r"(\w+):", line)):
            found[field[1]] = " ".join(comment)
        comment = []
    return found


def _setting(table: Any, name: str, prefix: str) -> Setting:
    kind = kinds(table)[name]
    field = next(field for field in dataclasses.fields(table) if field.name == name)
    default = field.default_factory() if callable(field.default_factory) else field.default
    return Setting(f"{prefix}{name}", meanings(table).get(name, ""), allowed(kind), _default(default))


def allowed(kind: Kind) -> str:
    """What a setting may hold, in words."""
    text = _limited(kind)
    return f"list of {text}" if kind.several else text


def _limited(kind: Kind) -> str:
    if isinstance(kind.limit, OneOf):
        return f"one of {', '.join(f'`{word}`' for word in kind.limit.words)}"
    if isinstance(kind.limit, Range):
        return f"{_TYPES[kind.type]}, {_range(kind.limit)}"
    return str(kind.limit) if kind.limit else _TYPES[kind.type]


def _range(limit: Range) -> str:
    least = f"{'at least' if limit.with_least else 'more than'} {limit.least:.12g}"
    most = f"{'at most' if limit.with_most else 'less than'} {limit.most:.12g}"
    return least if limit.most == Range(0).most else f"{least}, {most}"


def _default(value: Any) -> str:
    if value is dataclasses.MISSING:
        return ""
    if value is None:
        return "not set"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _entry(setting: Setting) -> str:
    default = f"default: {setting.default}" if setting.default else "required"
    return f"### `{setting.name}` {{ #{setting.name} }}\n\n*{setting.allowed}; {default}*\n\n{setting.meaning}\n"
