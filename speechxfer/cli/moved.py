"""Options that say where the data of a finished run is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from speechxfer.cli.paths import PATH
from speechxfer.config import nested

_Command = TypeVar("_Command", bound=Callable[..., Any])
#: Option -> the setting it stands for.
_SETTINGS = {
    "train": "train", "dev": "dev", "test": "test", "retain": "retain", "replay": "retention.replay",
    "unlabeled": "unlabeled",
}  # fmt: skip


def moved_options(command: _Command) -> _Command:
    """Give a command an option for each manifest of a run."""
    for name in reversed(_SETTINGS):
        command = click.option(f"--{name}", type=PATH, metavar="MANIFEST", help=f"Where the run's --{name} manifest is now, if it has been moved.")(command)  # fmt: skip  # noqa: E501
    return command


def places(options: Mapping[str, Path | None]) -> dict[str, Any]:
    """The settings that were given."""
    return nested({_SETTINGS[name]: str(path) for name, path in options.items() if path is not None})
