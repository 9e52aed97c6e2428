"""Paths on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class _UserPath(click.Path):
    """A path in which `~` is a home folder, also where no shell has replaced it, as in `--output=~/run`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Replace it."""
        path = os.path.expanduser(value)  # noqa: PTH111  # Path's own raises for an unknown user
        if str(path).startswith("~") and not Path(path).exists():
            self.fail(f"{value}: there is no such user, so ~ is no home folder here", param, ctx)
        return super().convert(path, param, ctx)


PATH = _UserPath(path_type=Path)
