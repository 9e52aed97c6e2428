"""Plain JSON values as declared types: what a file holds is checked where it is read, and nowhere else."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")
#: Larger whole numbers are no `float`.
_LARGEST = 2**1023
_WORDS: dict[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "null",
    list: "a list", tuple: "a list", Sequence: "a list", dict: "an object", Mapping: "an object",
}  # fmt: skip


def converted(kind: type[_T], value: Any, name: str = "") -> _T:
    """A value of JSON as a type: a dataclass, a number, a text, lists and objects of those, and unions with None.

    A whole number is a number, too; lists become what is declared (a tuple, say). What a dataclass does not know is
    left out; in a `TypedDict` nothing is required and everything stays.

    Args:
        kind: the type.
        value: what `json.loads` returned.
        name: of the value, for messages.

    Raises:
        ValueError: the value is of another type, or a field is missing; in one line, with its place in `value`.
    """
    found: _T = _converted(kind, value, name)
    return found


def _converted(kind: Any, value: Any, name: str) -> Any:
    if kind is Any:
        return value
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _one_of(arguments, value, name)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, name)  # type: ignore[arg-type]
    if issubclass(origin, str | int | float | types.NoneType):
        return _scalar(origin, value, name)
    if issubclass(origin, Mapping):  # a TypedDict as well
        inner, hints = arguments[1] if arguments else Any, _hints(kind) if typing.is_typeddict(kind) else {}
        items = _of(dict, value, name).items()
        return {key: _converted(hints.get(key, inner), one, _within(name, key)) for key, one in items}
    return _sequence(origin, arguments, _of(list, value, name), name)


def _scalar(kind: type, value: Any, name: str) -> Any:
    if kind is float and (type(value) is float or (type(value) is int and abs(value) <= _LARGEST)):
        return float(value)
    if kind is not float and type(value) is kind:
        return value
    raise _error(name, value, _WORDS[kind])


def _sequence(kind: type, arguments: tuple[Any, ...], values: list[Any], name: str) -> Any:
    """A list or tuple; a tuple of declared length has that length."""
    inner: Sequence[Any] = [arguments[0] if arguments else Any] * len(values)
    if issubclass(kind, tuple) and arguments and arguments[-1] is not Ellipsis:
        if len(values) != len(arguments):
            raise _error(name, values, f"a list of {len(arguments)}")
        inner = arguments
    found = [
        _converted(one, value, f"{name}[{place}]") for place, (one, value) in enumerate(zip(inner, values, strict=True))
    ]
    return tuple(found) if issubclass(kind, tuple) else found


def _one_of(kinds: Sequence[Any], value: Any, name: str) -> Any:
    errors = []
    for kind in kinds:
        try:
            return _converted(kind, value, name)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _dataclass(kind: type, value: Any, name: str) -> Any:
    values, hints = _of(dict, value, name), _hints(kind)
    known = {}
    for field in dataclasses.fields(kind):
        if field.name in values:
            known[field.name] = _converted(hints[field.name], values[field.name], _within(name, field.name))
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"lacks {_within(name, field.name)}")
    return kind(**known)


def _within(name: str, key: str) -> str:
    return f"{name}.{key:.60}" if name else f"{key:.60}"


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _of(kind: type[_T], value: Any, name: str) -> _T:
    if not isinstance(value, kind):
        raise _error(name, value, _WORDS[kind])
    return value


def _error(name: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"{name or 'it'} is {value!r:.60}; wanted {wanted}")
