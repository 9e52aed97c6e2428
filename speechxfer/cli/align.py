"""`speechxfer align`: a recording and its text in, the times of the words out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.cli import streams
from speechxfer.cli.audio_options import audio_options
from speechxfer.cli.paths import MODEL, PATH
from speechxfer.data.annotations import SUFFIXES
from speechxfer.errors import printable
from speechxfer.inference.writers import FORMATS, write
from speechxfer.storage import write_text

if TYPE_CHECKING:
    from speechxfer.alignment.result import Mismatch
    from speechxfer.audio import Options

#: Differences that are listed on the terminal.
_MOST_LISTED = 20


@click.command()
@click.argument("audio", type=PATH)
@click.argument("text")
@click.option(
    "--model", type=MODEL, required=True, help="A model with a CTC head: a folder, an installed package, or a hub id."
)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS, case_sensitive=False), default="json", show_default=True
)
@click.option("--output", type=PATH, help="File for the result, instead of printing it.")
@click.option("--mismatches", type=PATH, help="JSONL file for what differs, instead of listing it.")
@click.option("--characters", is_flag=True, help="Times of characters, too; json only.")
@click.option("--least-matched", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="FRACTION", help="Fail if fewer of the words are found.")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="The spoken language, such as en, if the model knows several.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@audio_options
def align(
    *,
    audio: Path,
    text: str,
    model: str,
    format_: str,
    output: Path | None,
    mismatches: Path | None,
    characters: bool,
    least_matched: float,
    language: str | None,
    device: str,
    reading: Options,
) -> None:
    """Find when each word of TEXT is said in AUDIO.

    TEXT is a text file (.txt), subtitles (.srt, .vtt), or the words themselves. AUDIO may last for hours. Words of
    the text that are not said, and speech that has no text, are listed.
    """
    if characters and format_ != "json":
        raise click.UsageError(f"--characters is for --format json, and not for {format_}.")
    import speechxfer as sx

    found = sx.align(
        model, audio, text_or_path(text), characters=characters, least_matched=least_matched, language=language,
        device=device, progress=sx.TerminalProgress(), **reading,
    )  # fmt: skip
    content = json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n" if format_ == "json" else write(found.transcript, format_)  # fmt: skip  # noqa: E501
    if output is not None:
        write_text(output, content)
    else:
        streams.write(content)
    click.echo(f"{found.matched:.1%} of the words were found", err=True)
    report(found.mismatches, mismatches)


def text_or_path(text: str) -> str | Path:
    """The path of a file that exists, or that was meant to; else the words."""
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a text is longer than a name can be
        is_file = False
    named = not any(map(str.isspace, text)) and path.suffix.lower() in (".txt", *SUFFIXES)
    return path if is_file or named else text


def report(differing: Sequence[Mismatch], target: Path | None) -> None:
    """Write what differs to a file, one JSON object a line, or list it on standard error."""
    click.echo(f"{len(differing)} places differ", err=True)
    if target is not None:
        write_text(target, "".join(json.dumps(one.to_dict(), ensure_ascii=False) + "\n" for one in differing))
        return
    for one in differing[:_MOST_LISTED]:
        click.echo(printable(f"  {one}"), err=True)
    if len(differing) > _MOST_LISTED:
        click.echo(f"  and {len(differing) - _MOST_LISTED} more; --mismatches FILE has them all", err=True)
