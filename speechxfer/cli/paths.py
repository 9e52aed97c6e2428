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
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111  # Path's own raises


PATH = _UserPath(path_type=Path)
