"""Resolve paths in settings: `~` is a home folder, and relative paths start at the working folder."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from speechxfer.stores import is_url, spelled
from speechxfer.stores.listing import is_pattern

if TYPE_CHECKING:
    from speechxfer.config.tables import FinetuneConfig

_VARIABLE = re.compile(r"\$\{?[A-Za-z_]")


def located(path: str) -> str:
    """The absolute path; `~` and `~user` are home folders, variables such as `$HOME` are not replaced. A URL stays."""
    if is_url(path):
        return spelled(path)
    return str(Path(os.path.expanduser(path)).absolute())  # noqa: PTH111  # Path's own raises for an unknown user


def located_model(name: str) -> str:
    """The absolute path of a model's folder; a name that is not a folder is returned as it is."""
    return located(name) if name.startswith("~") or os.path.isdir(name) else name  # noqa: PTH112  # Path's own raises


def exists(path: str | Path) -> bool:
    """Whether a path exists and is visible to this user; of patterns and URLs that shows when they are read."""
    return os.access(path, os.F_OK) or is_pattern(path) or is_url(os.fspath(path))


def hint(path: str) -> str:
    """The possible mistake in a path that does not exist, to append to a message."""
    if _VARIABLE.search(path):
        return "; variables such as $HOME are not replaced in settings: write the path out"
    if os.sep == "/" and "\\" in path:
        return "; folders are separated by / here"
    if Path(path).is_relative_to(Path.cwd()) and str(Path(path).relative_to(Path.cwd())).startswith("~"):
        return "; there is no such user, so ~ is no home folder here"
    return ""


def moved(config: FinetuneConfig, folder: Path) -> FinetuneConfig:
    """The settings of a run that was moved to `folder`, with the manifests and the model that moved with it.

    A missing path is replaced by the same path relative to the run, if that exists.
    """

    def now(path: str) -> str:
        near = os.path.normpath(folder.absolute() / os.path.relpath(path, config.output))
        return near if not exists(path) and exists(near) else path

    def optional(path: str | None) -> str | None:
        return None if path is None else now(path)

    return replace(
        config, output=str(folder.absolute()), train=now(config.train), dev=now(config.dev), test=optional(config.test),
        retain=optional(config.retain), unlabeled=optional(config.unlabeled),
        retention=replace(config.retention, replay=optional(config.retention.replay)),
        model=now(config.model) if Path(config.model).is_absolute() else config.model,
    )  # fmt: skip
