"""`speechxfer transcribe`: recordings in, transcripts out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.cli.audio_options import audio_options
from speechxfer.cli.search import search_options, set_search
from speechxfer.errors import DataError
from speechxfer.storage import write_text
from speechxfer.transcription.inputs import expand, output_paths
from speechxfer.transcription.writers import FORMATS, write, write_line

if TYPE_CHECKING:
    from speechxfer.audio import Options


@click.command()
@click.argument("model_name", metavar="MODEL")
@click.argument("names", metavar="INPUTS...", nargs=-1, required=True)
@click.option("--format", "format_", type=click.Choice(FORMATS), default="txt", show_default=True)
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file per input there instead of printing.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@audio_options
@search_options
def transcribe(
    *,
    model_name: str,
    names: tuple[str, ...],
    format_: str,
    output_dir: Path | None,
    device: str,
    language: str | None,
    beams: int | None,
    context: str | None,
    reading: Options,
) -> None:
    """Write down what is said in INPUTS.

    MODEL is a model's folder or the name of a checkpoint. INPUTS are files, folders, quoted patterns such
    as 'calls/**/*.wav', and - for the standard input. A file that cannot be read is reported and the rest
    goes on; the exit status is then 1.
    """
    inputs = expand(names)
    if output_dir is None and len(inputs) > 1 and format_ in ("srt", "vtt"):
        raise click.UsageError(f"{len(inputs)} inputs as {format_} do not fit in one; add --output-dir.")
    targets = output_paths(inputs, output_dir, format_) if output_dir else [None] * len(inputs)

    from speechxfer.encoders.checkpoints import find

    find(model_name)  # before torch, so that a misspelt name is told at once

    from speechxfer.model import SpeechModel

    model = SpeechModel.load(model_name, device=device)
    set_search(model, beams, context)
    num_failed = 0
    for item, target in zip(inputs, targets, strict=True):
        try:
            source = item.source()
            with recording_progress(item.place.name, source) as progress:
                transcript = model.transcribe(source, language=language, progress=progress, **reading)
        except DataError as error:
            click.echo(f"Error: {error}", err=True)
            num_failed += 1
        else:
            transcript = replace(transcript, source=item.name)
            if target:
                write_text(target, write(transcript, format_))
            else:
                click.echo((write if len(inputs) == 1 else write_line)(transcript, format_), nl=False)
    if num_failed:
        sys.exit(1)


@contextlib.contextmanager
def recording_progress(name: str, source: Path | bytes) -> Iterator[Callable[[float], None] | None]:
    """A bar on a terminal, gone before anything is printed; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from speechxfer.audio import info

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(name, total=info(source).duration)
        yield lambda seconds: bar.update(task, completed=seconds)
