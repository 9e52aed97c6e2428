"""Paths on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class _UserPath(click.Path):
    """A path in which `~` is a home folder, also where no shell has replaced it, as in `--output=~/run`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Replace it."""
        path = os.path.expanduser(value)  # noqa: PTH111  # Path's own raises for an unknown user
        if str(path).startswith("~") and not Path(path).exists():
            self.fail(f"{value}: there is no such user, so ~ is no home folder here", param, ctx)
        return super().convert(path, param, ctx)


class _Model(click.types.StringParamType):
    """A model's folder, installed package or hub id, as text; completed from files and published models."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Published models, or a file."""
        from speechxfer.families.published import published_models

        names = [CompletionItem(model.name) for model in published_models() if model.name.startswith(incomplete)]
        return names if incomplete and names else [*names, CompletionItem(incomplete, type="file")]


PATH = _UserPath(path_type=Path)
MODEL = _Model()
