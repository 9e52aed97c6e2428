"""Registers: what can be chosen by name, from this package and from packages of others.

An entry is a value that is described before it is imported: a string "module:attribute" stands for it until somebody
asks, so that listing what there is costs nothing. Packages of others add entries by an entry point of the register's
group, for instance in their `pyproject.toml`:

    [project.entry-points."speechxfer.heads"]
    ctc-attention = "their_package.heads:ENTRY"
"""

from __future__ import annotations

import difflib
import importlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Entry = TypeVar("Entry")


class MissingPackageWarning(UserWarning):
    """A package is not installed, and something simpler takes its place."""


class PluginWarning(UserWarning):
    """An entry of another package that cannot be used; the rest works without it."""


class Register(Mapping[str, Entry]):
    """Entries by name, in the order they were added; those of other packages come last.

    A package that fails to import, gives something else, or adds a name that is taken causes a `PluginWarning` that
    names it, and its entry is left out.

    Args:
        kind: what an entry is, in the singular, as messages call it: "head".
        entry_type: the class of entries.
        group: the group of entry points.
        builtin: the entries of this package, each as a value or as "module:attribute".
        hints: packages that are known to add entries, by the names of these.
    """

    def __init__(
        self,
        kind: str,
        entry_type: type[Entry],
        *,
        group: str,
        builtin: Mapping[str, Entry | str],
        hints: Mapping[str, str] | None = None,
    ) -> None:
        self._kind, self._type, self._group = kind, entry_type, group
        self._builtin, self._hints = dict(builtin), dict(hints or {})
        self._lock = threading.RLock()
        self._loaded: dict[str, Entry] = {}
        self._plugins: dict[str, Entry] | None = None

    def __getitem__(self, name: str) -> Entry:
        with self._lock:
            if name in self._loaded:
                return self._loaded[name]
            found = self._builtin[name] if name in self._builtin else self._from_plugins()[name]
            if isinstance(found, str):
                found = self._checked(resolve(found), found)
            self._loaded[name] = found
            return found

    def __iter__(self) -> Iterator[str]:
        yield from self._builtin
        yield from self._from_plugins()

    def __len__(self) -> int:
        return len(self._builtin) + len(self._from_plugins())

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._from_plugins()

    def find(self, name: str, error: Callable[[str], Exception] = ConfigError, *, setting: str = "") -> Entry:
        """The entry of a name that a person gave.

        Args:
            name: of the entry.
            error: the kind of error to raise.
            setting: where the name was given, for the message; the kind of entry without it.

        Raises:
            Exception: `error`, with the names there are and the package that would bring this one, if one is known.
        """
        if name in self:
            return self[name]
        hint = f"; it comes with the package {self._hints[name]}" if name in self._hints else ""
        near = difflib.get_close_matches(name, list(self), n=1)
        hint = hint or (f"; did you mean {near[0]}?" if near else "")
        raise error(f"{setting or self._kind} is {name!r}; wanted one of {', '.join(self)}{hint}")

    def refresh(self) -> None:
        """Look for packages of others again, for instance after one was installed while this process runs."""
        with self._lock:
            self._plugins = None
            self._loaded.clear()

    def _from_plugins(self) -> dict[str, Entry]:
        """The entries of other packages; all are imported, for an entry that fails may not be listed."""
        import importlib.metadata  # late: it takes a tenth of the time in which an exported model opens

        with self._lock:
            if self._plugins is None:
                self._plugins = {}
                for point in importlib.metadata.entry_points(group=self._group):
                    self._add(self._plugins, point)
            return self._plugins

    def _add(self, plugins: dict[str, Entry], point: EntryPoint) -> None:
        package = point.dist.name if point.dist else point.module
        if point.name in self._builtin or point.name in plugins:
            owner = "speechxfer" if point.name in self._builtin else "another package"
            self._warn(f"the {self._kind} {point.name!r} of {package} is left out: {owner} has one of this name")
            return
        try:
            plugins[point.name] = self._checked(point.load(), point.value)
        except Exception as error:  # whatever somebody else's module raises
            reason = f"{type(error).__name__}: {error}" if not isinstance(error, TypeError) else str(error)
            self._warn(f"the {self._kind} {point.name!r} of {package} cannot be used ({reason})")

    def _checked(self, value: object, where: str) -> Entry:
        if not isinstance(value, self._type):
            raise TypeError(f"{where} is of type {type(value).__name__}; wanted a {self._type.__name__}")
        return value

    def _warn(self, message: str) -> None:
        warnings.warn(message, PluginWarning, stacklevel=2)


def resolve(where: str) -> Any:
    """What "module:attribute" stands for.

    Raises:
        ImportError: there is no such module.
        AttributeError: it has no such attribute.
    """
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)
