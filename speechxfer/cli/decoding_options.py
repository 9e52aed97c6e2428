"""Options of commands that transcribe: how the model decodes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from speechxfer.decoding.options import DecodingOptions


def decoding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --language, --task, --beams and --prompt, which the command is given as `decoding`."""

    @click.option("--language", metavar="LL", help="The spoken language, such as en, if the model knows several.")
    @click.option("--task", type=click.Choice(["transcribe", "translate"]), help="Write what is spoken or its English translation (default: as the model was trained); Whisper's decoder only.")  # fmt: skip  # noqa: E501
    @click.option("--beams", type=click.IntRange(1), help="Hypotheses that a search follows at once; 1 is greedy (default: as the model was trained or tuned).")  # fmt: skip  # noqa: E501
    @click.option(
        "--prompt", metavar="WORDS", help="Prompt for Whisper's decoder: names and terms that are likely to occur."
    )
    @click.option("--context", hidden=True, expose_value=False, callback=_renamed)
    @functools.wraps(command)
    def called(*, language: str | None, task: str | None, beams: int | None, prompt: str | None, **others: Any) -> Any:
        return command(decoding=DecodingOptions(beams, prompt, language, task), **others)

    return called


def _renamed(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(f"--context is now --prompt; wanted --prompt {value!r}.")
