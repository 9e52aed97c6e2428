"""`speechxfer transcribe`: recordings in, transcripts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speechxfer.cli import streams
from speechxfer.cli.audio_options import audio_options
from speechxfer.cli.batch import RecordingProgress, for_each, recordings, write_each
from speechxfer.cli.corpus import SHARD_FORMATS, Corpus, check_files, corpus_options
from speechxfer.cli.decoding_options import decoding_options
from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import MODEL
from speechxfer.cli.subtitle_options import subtitle_options
from speechxfer.errors import StorageError, printable
from speechxfer.inference.inputs import Input, identity, output_paths
from speechxfer.inference.subtitles import SubtitleOptions
from speechxfer.inference.voice_activity import CHOICES
from speechxfer.inference.writers import FORMATS, LINE_FORMATS, SUBTITLE_FORMATS, write, write_line
from speechxfer.storage import write_text

if TYPE_CHECKING:
    from speechxfer.audio import Options
    from speechxfer.decoding.options import DecodingOptions
    from speechxfer.inference import Segment, Transcript
    from speechxfer.predictor import Predictor


#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("format_", "output_dir", "skip_existing", "language", "device"),
    "Manifests and archives": ("output", "retry_failed", "engine", "address", "actors"),
    "Decoding": ("task", "beams", "prompt", "hotwords"),
    "Subtitles": ("line_length", "lines", "characters_per_second"),
    "Audio": ("workers", "vad", "audio_stream", "audio_channel", "strict"),
}


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.argument("model_name", metavar="MODEL", type=MODEL)
@click.argument("names", metavar="INPUTS...", nargs=-1, required=True)
@click.option("--format", "format_", type=click.Choice((*FORMATS, *SHARD_FORMATS), case_sensitive=False), help="[default: txt; jsonl with --output]")  # fmt: skip  # noqa: E501
@click.option(
    "--output-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file per input to this folder instead of printing.",
)
@corpus_options
@click.option("--skip-existing", is_flag=True, help="Skip recordings whose transcript is in --output-dir.")
@click.option("--vad", type=click.Choice(CHOICES), default="auto", show_default=True, help="How speech is found, since nothing else is transcribed: by silero, a network (auto), or by its energy; none leaves out silence alone.")  # fmt: skip  # noqa: E501
@click.option("--workers", type=click.IntRange(min=0), help="Recordings that are read at the same time, in threads, while others are computed; with 0 that is done in between.  [default: 1 on a GPU, 0 on a CPU]")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@audio_options
@decoding_options
@subtitle_options
def transcribe(
    *,
    model_name: str,
    names: tuple[str, ...],
    format_: str | None,
    output_dir: Path | None,
    corpus: Corpus | None,
    skip_existing: bool,
    vad: str,
    workers: int | None,
    device: str,
    decoding: DecodingOptions,
    reading: Options,
    subtitles: SubtitleOptions | None,
) -> None:
    """Transcribe INPUTS.

    MODEL is a model's folder or the name of a checkpoint. INPUTS are files, folders, quoted patterns such
    as 'calls/**/*.wav', tar shards, Parquet files, URLs, and - for the standard input. A file that cannot be read is
    reported and the rest goes on; the exit status is then 1. Segments of several recordings are computed together,
    and each transcript is written when it is complete; that of a single recording is printed as it comes.

    With --output, INPUTS may be manifests of any length. Each line becomes a row in that folder, with its text or its
    error. The same command again computes only what is missing, and with --retry-failed also what has an error.
    """
    if corpus:
        is_for_files = output_dir or skip_existing or subtitles or {reading["stream"], reading["channel"]} != {None}
        corpus.check(format_, is_for_files=bool(is_for_files))
        corpus.transcribe(
            names, format_, model=model_name, device=device, decoding=decoding, vad=vad, workers=workers,
            strict=reading["strict"],
        )  # fmt: skip
        return
    format_ = format_ or "txt"
    check_files(names, format_)
    if skip_existing and output_dir is None:
        raise click.UsageError("--skip-existing asks for files that are there already; add --output-dir.")
    if subtitles and format_ not in SUBTITLE_FORMATS:
        raise click.UsageError(f"options of subtitles are for --format srt or vtt; {format_} has no lines of its own.")
    target = _Target(output_dir, format_, subtitles or SubtitleOptions(), skip_existing)
    how = {"options": decoding, "vad": vad, "workers": workers, **reading}
    _transcribe_files(recordings(names), target, lambda: _load(model_name, device, decoding), how)


@dataclass(frozen=True)
class _Target:
    """Where transcripts go: to files in a folder, or to standard output without one."""

    folder: Path | None
    format: str
    subtitles: SubtitleOptions
    skip_existing: bool

    def content(self, transcript: Transcript) -> str:
        """What is written of a transcript."""
        return write(transcript, self.format, self.subtitles)


def _transcribe_files(
    inputs: Sequence[Input], target: _Target, load: Callable[[], Predictor], how: dict[str, Any]
) -> None:
    targets = _targets(inputs, target.folder, target.format)
    missing = [item for item in inputs if not (target.skip_existing and identity(targets[item]))]
    if len(missing) < len(inputs):
        click.echo(f"{len(inputs) - len(missing)} of {len(inputs)} transcripts exist already", err=True)
    if not missing:
        return
    model = load()
    if len(inputs) == 1 and target.format == "txt" and not target.folder:
        segments = model.transcribe_segments(inputs[0].source(), **how)
        for_each(inputs, lambda _item: _print_as_they_come(segments), lambda _item, _printed: None)
        return
    printer = _printer(inputs, target.format, target.content)
    _write_all(model, missing, how, _file_writer(targets, target.content) if target.folder else printer)


def _write_all(
    model: Predictor, inputs: Sequence[Input], how: dict[str, Any], write_: Callable[[Input, Transcript], None]
) -> None:
    """Transcribe all inputs and write each transcript when it is complete."""
    with RecordingProgress(inputs) as progress:

        def write_transcript(item: Input, transcript: Transcript) -> None:
            with progress.hidden():
                write_(item, replace(transcript, source=item.name))

        sources = (item.source() for item in inputs)
        found = model.transcribe_many(sources, return_exceptions=True, progress=progress, **how)
        write_each(inputs, found, write_transcript)


def _print_as_they_come(segments: Iterator[Segment]) -> None:
    """On one line, which ends also where an error ends the transcript."""
    before = ""
    try:
        for segment in segments:
            streams.write(f"{before}{segment.text}")
            before = " "
    except BaseException:
        if before:
            streams.write("\n")
        raise
    streams.write("\n")


def _load(name: str, device: str, decoding: DecodingOptions) -> Predictor:
    """The model, which has these options."""
    from speechxfer.api.loading import load

    model = load(name, device=device, language=decoding.language)
    model.checked(decoding)
    return model


def _targets(inputs: Sequence[Input], output_dir: Path | None, format_: str) -> dict[Input, Path]:
    """The file of each transcript; none where transcripts are printed."""
    if output_dir is not None:
        return dict(zip(inputs, output_paths(inputs, output_dir, format_), strict=True))
    if len(inputs) > 1 and format_ not in LINE_FORMATS:
        raise click.UsageError(f"{len(inputs)} inputs as {format_} do not fit in one; add --output-dir.")
    return {}


def _printer(
    inputs: Sequence[Input], format_: str, content: Callable[[Transcript], str]
) -> Callable[[Input, Transcript], None]:
    """Prints one transcript as it is, of several one a line."""
    if len(inputs) == 1:
        return lambda _item, transcript: streams.write(content(transcript))
    return lambda _item, transcript: streams.write(write_line(transcript, format_))


def _file_writer(
    targets: Mapping[Input, Path], content: Callable[[Transcript], str]
) -> Callable[[Input, Transcript], None]:
    """Writes each transcript to its file, which may stand there from an earlier time, but not from this one."""
    written: dict[tuple[int, int] | None, Path] = {}

    def write_file(item: Input, transcript: Transcript) -> None:
        target = targets[item]
        found = identity(target)
        if found and found in written:  # where "A.txt" and "a.txt" are one file
            raise StorageError(
                f"{printable(str(target))}: would replace {printable(str(written[found]))}, which was written for "
                "another recording; rename one of them"
            )
        write_text(target, content(transcript))
        written[identity(target)] = target

    return write_file
