"""`speechxfer manifest`: make, convert and look at manifests."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.errors import ConfigError, printable
from speechxfer.storage import together

if TYPE_CHECKING:
    from speechxfer.data.manifest import Manifest

_overwrite = click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
_output = click.argument("output", type=click.Path(path_type=Path))
_tiers = click.option("--tier", "tiers", metavar="NAME", multiple=True, help="Tier of the annotations, or a pattern such as '* words'; may be repeated.")  # fmt: skip  # noqa: E501


@click.group()
def manifest() -> None:
    """Make, convert and look at manifests: JSONL, CSV or TSV files with an utterance a line."""


@manifest.command("from-folder")
@click.argument("folder", type=click.Path(path_type=Path))
@_output
@click.option("--labels", is_flag=True, help="Take the name of the first-level folder as the label.")
@click.option("--durations/--no-durations", default=True, show_default=True, help="Read them from the headers.")
@_tiers
@_overwrite
def from_folder(
    folder: Path, output: Path, labels: bool, durations: bool, tiers: tuple[str, ...], overwrite: bool
) -> None:
    """List the audio files beneath FOLDER in OUTPUT.

    The transcript of a.wav is what a.txt or a.lab beside it says, in upper or lower case, or its line in a
    *.trans.txt; or a.eaf, a.TextGrid, a.vtt or a.srt has its utterances with their times. Files that cannot be
    read, or whose names are not UTF-8, are left out and reported.
    """
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.data.manifest import Manifest

    _check_output(output, overwrite)
    progress = TerminalProgress()

    def skipped(reason: object) -> None:
        progress.log(f"skipped {printable(str(reason))}")

    found = Manifest.from_folder(folder, labels=labels, tiers=tiers, skipped=skipped, warn=progress.warn)
    if durations:
        with progress.task("durations", len(found)) as advance:
            found = found.with_durations(advance, progress.warn, skipped)
    found.write(output)
    click.echo(f"{output}: {len(found)} utterances, {_transcribed(found)}")


@manifest.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@_output
@_overwrite
@click.option("--label-from", metavar="COLUMN", help="Take the labels from this column, such as speaker.")
def convert(source: Path, output: Path, overwrite: bool, label_from: str | None) -> None:
    """Write INPUT as OUTPUT, in the format of its suffix and with paths that are right from its folder."""
    from speechxfer.data.manifest import Manifest

    _check_output(output, overwrite)
    read = Manifest.read(source)
    read = read.labeled_by(label_from) if label_from else read
    read.write(output)
    click.echo(f"{output}: {len(read)} utterances")


@manifest.command()
@click.argument("path", metavar="MANIFEST", type=click.Path(path_type=Path))
def show(path: Path) -> None:
    """Print what MANIFEST holds."""
    from speechxfer.data.manifest import Manifest

    for name, value in _description(Manifest.read(path)):
        click.echo(f"{name:<12}{value}")


@manifest.command("split")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder for train, dev and test.")
@click.option("--dev", default=0.1, show_default=True, help="Fraction of the audio for dev.")
@click.option("--test", default=0.1, show_default=True, help="Fraction of the audio for test.")
@click.option("--by", default="speaker", show_default=True, help="Column whose values stay in one split.")
@click.option("--allow-shared-text", is_flag=True, help="Allow the same sentence in several splits.")
@click.option("--seed", default=0, show_default=True, help="Seed of the split.")
@_overwrite
def split_command(
    source: Path,
    output: Path,
    dev: float,
    test: float,
    by: str,
    allow_shared_text: bool,
    seed: int,
    overwrite: bool,
) -> None:
    """Split INPUT by speaker, with no sentence in two splits and labels in equal proportions."""
    import speechxfer as sx

    paths = {name: output / f"{name}{source.suffix}" for name in ("train", "dev", "test")}
    for path in paths.values():
        _check_output(path, overwrite)
    made = sx.split(source, dev=dev, test=test, by=by, allow_shared_text=allow_shared_text, seed=seed)
    with together(paths.values()):
        for name, part in made.items():
            part.write(paths[name])
    for name, part in made.items():
        speakers = {utterance.speaker for utterance in part} - {None}
        voices = f", {len(speakers)} speakers" if speakers else ""
        click.echo(f"{paths[name]}: {len(part)} utterances, {_clock(part.duration_s)}{voices}")


@manifest.command("import")
@click.argument("kind", metavar="KIND")
@click.argument("source", metavar="SOURCE")
@_output
@click.option("--split", help="Which part of a Hugging Face data set, such as train.")
@_tiers
@_overwrite
def import_command(
    kind: str, source: str, output: Path, split: str | None, tiers: tuple[str, ...], overwrite: bool
) -> None:
    """Write a corpus in another layout as the manifest OUTPUT.

    \b
    KIND is one of
      kaldi         folder with wav.scp, text, and segments and utt2spk where there are any
      librispeech   folder of LibriSpeech or a part of it, with *.trans.txt
      commonvoice   a .tsv of Common Voice, such as validated.tsv
      nemo          a manifest of NeMo
      classes       folder with a folder of audio for each class
      annotations   file of ELAN (.eaf) or Praat (.TextGrid), subtitles
                    (.srt, .vtt), or a folder with such files
      huggingface   a data set saved to disk, or its name on the hub
    """
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.data.importers import read_corpus

    _check_output(output, overwrite)
    made = read_corpus(kind, source, beside=output, split=split, tiers=tiers, warn=TerminalProgress().warn)
    made.write(output)
    click.echo(f"{output}: {len(made)} utterances, {_transcribed(made)}")


@manifest.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@_output
@click.option("--model", required=True, help="Unadapted Whisper.")
@click.option("--language", help="Spoken language, by its code, such as it.")
@click.option("--device", default="auto", show_default=True)
@_overwrite
def truecase(source: Path, output: Path, model: str, language: str | None, device: str, overwrite: bool) -> None:
    """Truecase INPUT: restore upper case and final punctuation with a Whisper.

    For transcripts in one case: a Whisper trained on them no longer writes either.
    """
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.data.manifest import Manifest
    from speechxfer.truecasing import truecased

    _check_output(output, overwrite)
    read = Manifest.read(source)
    read.check_files()
    made = truecased(read, model, language=language, device=device, progress=TerminalProgress())
    made.write(output)
    click.echo(f"{output}: {_transcribed(made)}")


@manifest.command("align")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@_output
@click.option("--model", required=True, help="A model with a CTC head: a folder, an installed package, or a hub id.")
@click.option("--audio", type=click.Path(path_type=Path), help="The recording, if INPUT is its script or subtitles.")
@click.option("--max-seconds", "max_s", default=20.0, show_default=True, metavar="S", help="Longest utterance; longer ones are cut at ends of sentences and pauses.")  # fmt: skip  # noqa: E501
@click.option("--least-confidence", type=click.FloatRange(0, 1), default=0.3, show_default=True, metavar="FRACTION", help="Leave out utterances below.")  # fmt: skip  # noqa: E501
@click.option("--least-matched", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="FRACTION", help="Leave out recordings of whose words fewer are found.")  # fmt: skip  # noqa: E501
@click.option("--mismatches", type=click.Path(path_type=Path), help="JSONL file for what differs, instead of listing it.")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="The spoken language, such as en, if the model knows several.")
@click.option("--device", default="auto", show_default=True)
@_overwrite
def align_command(
    source: Path, output: Path, model: str, audio: Path | None, max_s: float, least_confidence: float,
    least_matched: float, mismatches: Path | None, language: str | None, device: str, overwrite: bool,
) -> None:  # fmt: skip
    """Write the utterances of INPUT with the start and duration of their words, and a confidence.

    INPUT is a manifest, whose utterances lose the silence around them; or, with --audio, the script (.txt) or the
    subtitles (.srt, .vtt) of a long recording, which is cut into utterances. What does not match is listed.
    """
    import speechxfer as sx
    from speechxfer.cli.align import report

    _check_output(output, overwrite)
    found = sx.align_manifest(
        model, source, audio=audio, max_s=max_s, least_confidence=least_confidence, least_matched=least_matched,
        language=language, device=device, progress=sx.TerminalProgress(),
    )  # fmt: skip
    found.manifest.write(output)
    click.echo(f"{output}: {len(found.manifest)} utterances, {_clock(found.manifest.duration_s)}")
    report(found.mismatches, mismatches)


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
