"""How Whisper's decoder looks for text: the options of every command that transcribes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from speechxfer.model import SpeechModel

_Command = TypeVar("_Command", bound=Callable[..., Any])


def search_options(command: _Command) -> _Command:
    """Add `--language`, `--beams` and `--context`."""
    options = (
        click.option("--language", metavar="LL", help="What is spoken, such as en, if the model knows several."),
        click.option(
            "--beams",
            type=click.IntRange(1),
            help="Hypotheses that Whisper's decoder follows at once (default: as it was adapted, or 1).",
        ),
        click.option(
            "--context", metavar="WORDS", help="Names and terms that are likely to occur, for Whisper's decoder."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def set_search(model: SpeechModel, beams: int | None, context: str | None) -> dict[str, Any]:
    """Have the model search so; what was asked for, for the record.

    Raises:
        ConfigError: the head leaves no choice.
    """
    asked: dict[str, Any] = {
        name: value for name, value in (("beams", beams), ("context", context)) if value is not None
    }
    if asked:
        model.set_search(**asked)
    return asked
