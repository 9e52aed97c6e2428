"""Options of commands that transcribe: how the model decodes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from speechxfer.cli.paths import PATH
from speechxfer.data.textfiles import lines
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import DataError


def decoding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --language, --task, --beams, --prompt and --hotwords, which the command is given as `decoding`."""

    @click.option("--language", metavar="LL", help="The spoken language, such as en, if the model knows several.")
    @click.option("--task", type=click.Choice(["transcribe", "translate"]), help="Write what is spoken or its English translation (default: as the model was trained); Whisper's decoder only.")  # fmt: skip  # noqa: E501
    @click.option("--beams", type=click.IntRange(1), help="Hypotheses that a search follows at once; 1 is greedy (default: as the model was trained or tuned).")  # fmt: skip  # noqa: E501
    @click.option(
        "--prompt", metavar="WORDS", help="Prompt for Whisper's decoder: names and terms that are likely to occur."
    )
    @click.option("--hotwords", type=PATH, help="File with a name or phrase a line, or PHRASE<TAB>WEIGHT (usually 8): a CTC model writes them more readily.")  # fmt: skip  # noqa: E501
    @click.option("--context", hidden=True, expose_value=False, callback=_renamed)
    @functools.wraps(command)
    def called(
        *, language: str | None, task: str | None, beams: int | None, prompt: str | None, hotwords: Path | None,
        **others: Any,
    ) -> Any:  # fmt: skip
        phrases = None if hotwords is None else read_hotwords(hotwords)
        return command(decoding=DecodingOptions(beams, prompt, language, task, hotwords=phrases), **others)

    return called


def read_hotwords(path: Path) -> list[str | tuple[str, float]]:
    """Phrases, one a line, some with a weight after a tab.

    Raises:
        DataError: no such file, not UTF-8, none in it, or a weight that is no number.
    """
    found: list[str | tuple[str, float]] = []
    for number, line in enumerate(lines(path), start=1):
        phrase, tab, weight = line.strip().partition("\t")
        try:
            found += [(phrase, float(weight)) if tab else phrase] if phrase else []
        except ValueError:
            raise DataError(
                f"{path}:{number}: the weight of {phrase!r:.60} is {weight!r:.20}; wanted a number"
            ) from None
    if not found:
        raise DataError(f"{path}: holds no hotwords; wanted one a line")
    return found


def _renamed(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(f"--context is now --prompt; wanted --prompt {value!r}.")
