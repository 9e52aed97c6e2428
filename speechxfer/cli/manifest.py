"""`speechxfer manifest`: make, convert and look at manifests."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.data.manifest import Manifest

_overwrite = click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
_output = click.argument("output", type=click.Path(path_type=Path))


@click.group()
def manifest() -> None:
    """Make, convert and look at manifests: JSONL, CSV or TSV files with an utterance a line."""


@manifest.command("from-folder")
@click.argument("folder", type=click.Path(path_type=Path))
@_output
@click.option("--labels", is_flag=True, help="Take the name of the first-level folder as the label.")
@click.option("--durations/--no-durations", default=True, show_default=True, help="Read them from the headers.")
@_overwrite
def from_folder(folder: Path, output: Path, labels: bool, durations: bool, overwrite: bool) -> None:
    """List the audio files beneath FOLDER in OUTPUT.

    The transcript of a.wav is what a.txt or a.lab beside it says.
    """
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.data.manifest import Manifest

    _check_output(output, overwrite)
    found = Manifest.from_folder(folder, labels=labels)
    if durations:
        with TerminalProgress().task("durations", len(found)) as advance:
            found = found.with_durations(advance)
    found.write(output)
    click.echo(f"{output}: {len(found)} utterances, {_transcribed(found)}")


@manifest.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@_output
@_overwrite
def convert(source: Path, output: Path, overwrite: bool) -> None:
    """Write INPUT as OUTPUT, in the format of its suffix and with paths that are right from its folder."""
    from speechxfer.data.manifest import Manifest

    _check_output(output, overwrite)
    read = Manifest.read(source)
    read.write(output)
    click.echo(f"{output}: {len(read)} utterances")


@manifest.command()
@click.argument("path", metavar="MANIFEST", type=click.Path(path_type=Path))
def show(path: Path) -> None:
    """Say what is in MANIFEST."""
    from speechxfer.data.manifest import Manifest

    for name, value in _description(Manifest.read(path)):
        click.echo(f"{name:<12}{value}")


def _check_output(output: Path, overwrite: bool) -> None:
    """Before an hour of reading headers rather than after it."""
    from speechxfer.data.rows import check_suffix

    check_suffix(output)
    if output.exists() and not overwrite:
        raise ConfigError(f"{output}: exists already; add --overwrite to replace it, or name another file")


def _description(read: Manifest) -> Iterator[tuple[str, str]]:
    yield "utterances", str(len(read))
    yield "text", _transcribed(read)
    known = [utterance.duration for utterance in read if utterance.duration is not None]
    if len(known) < len(read):
        yield "no duration", f"{len(read) - len(known)} of {len(read)}"
    if known:
        yield "duration", _clock(read.duration_s)
        yield "shortest", f"{min(known):.2f} s"
        yield "median", f"{statistics.median(known):.2f} s"
        yield "longest", f"{max(known):.2f} s"
    speakers = {utterance.speaker for utterance in read if utterance.speaker is not None}
    if speakers:
        yield "speakers", str(len(speakers))
    labels = Counter(utterance.label for utterance in read if utterance.label is not None)
    if labels:
        most = ", ".join(f"{label} ({count})" for label, count in labels.most_common(10))
        yield "labels", f"{len(labels)}: {most}{', …' if len(labels) > 10 else ''}"


def _transcribed(read: Manifest) -> str:
    texts = [text for text in read.texts if text is not None]
    without = f", {len(read) - len(texts)} without a transcript" if len(texts) < len(read) else ""
    return f"{sum(map(len, texts))} characters ({len(set().union(*texts))} different){without}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
