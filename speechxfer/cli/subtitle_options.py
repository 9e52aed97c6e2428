"""Options of commands that write subtitles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from speechxfer.inference.subtitles import SubtitleOptions

_Function = TypeVar("_Function", bound=Callable[..., Any])


def subtitle_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --line-length, --lines and --characters-per-second; the command is given `subtitles`, None without any."""
    defaults = SubtitleOptions()

    def option(name: str, kind: type, meaning: str) -> Callable[[_Function], _Function]:
        shown = f"{meaning} (srt, vtt; default: {getattr(defaults, name):g})."
        return click.option(f"--{name.replace('_', '-')}", name, type=kind, metavar="NUMBER", help=shown)

    @option("line_length", int, "Characters of a line; wide ones count as two")
    @option("lines", int, "Lines of a cue")
    @option("characters_per_second", float, "Characters that a viewer reads in a second")
    @functools.wraps(command)
    def called(
        *, line_length: int | None, lines: int | None, characters_per_second: float | None, **others: Any
    ) -> Any:
        named = {"line_length": line_length, "lines": lines, "characters_per_second": characters_per_second}
        given = {name: value for name, value in named.items() if value is not None}
        return command(subtitles=SubtitleOptions(**given) if given else None, **others)  # type: ignore[arg-type]

    return called
