"""Convert corpora to manifests: Kaldi, LibriSpeech, Common Voice, NeMo, classes, annotations, Hugging Face."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer.audio import AUDIO_SUFFIXES
from speechxfer.data.annotations import SUFFIXES
from speechxfer.data.annotations.excerpts import annotated_excerpts
from speechxfer.data.hub import from_huggingface
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.textfiles import lines
from speechxfer.errors import ConfigError, DataError
from speechxfer.sources import FileSource


def read_corpus(
    kind: str,
    source: str,
    *,
    beside: Path,
    split: str | None = None,
    tiers: Sequence[str] = (),
    warn: Callable[[str, str], None] = lambda _message, _kind: None,
) -> Manifest:
    """Read a corpus as a manifest.

    Args:
        kind: one of `KINDS`.
        source: path of a file or folder, or the name of a data set on the hub.
        beside: path of the manifest that will be written; audio without a file of its own (Hugging Face) is written
            to a folder beside it.
        split: name of the split, for a Hugging Face data set with several.
        tiers: of annotations, by name or pattern.
        warn: called with each warning, and the kind of it.

    Raises:
        ConfigError: the kind is unknown, or its library is not installed.
        DataError: a file is missing, or a line cannot be used.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is not a kind of corpus; wanted one of: {', '.join(KINDS)}")
    if split is not None and kind != "huggingface":
        raise ConfigError(f"--split {split} is for Hugging Face data sets; name the part in SOURCE")
    if tiers and kind != "annotations":
        raise ConfigError(f"--tier {tiers[0]} is for annotations; a corpus of {kind} has no tiers")
    if kind == "annotations":
        return from_annotations(Path(source), tiers, warn)
    if kind == "huggingface":
        return from_huggingface(source, beside.with_name(f"{beside.stem}-audio"), split)
    return _READERS[kind](Path(source))


# Kaldi


def from_kaldi(folder: Path) -> Manifest:
    """Read a Kaldi data folder: `wav.scp`, and `text`, `segments` and `utt2spk` if they exist.

    Columns are separated by any whitespace. A relative path starts in the working folder, as in Kaldi, or else in the
    data folder. A command in `wav.scp` that only prints or decodes a file (`cat`, `flac -d -c`) stands for that file.

    Raises:
        DataError: `wav.scp` is missing, or holds another command or an offset in an archive; a line is too short; a
            name is repeated, or is not in all files.
    """
    recordings = {
        name: (_recording(folder, path, at), at) for name, (path, at) in _by_name(folder / "wav.scp", 2).items()
    }
    texts = _optional(folder / "text", 1)
    speakers = _optional(folder / "utt2spk", 2)
    if (folder / "segments").exists():
        parts = dict(_segments(folder / "segments", recordings))
    else:
        parts = {name: (path, 0.0, None, at) for name, (path, at) in recordings.items()}
    for name, (_, at) in {**texts, **speakers}.items():
        if name not in parts:
            raise DataError(f"{at}: {name} is in neither segments nor wav.scp; wanted the same names in all files")
    return Manifest(
        (
            Utterance(
                audio=str(path),
                source=FileSource.of(path),
                start=start,
                duration=duration,
                text=texts[name][0] if name in texts else None,
                speaker=speakers[name][0] if name in speakers else None,
                extra={"id": name},
                origin=at,
            )
            for name, (path, start, duration, at) in parts.items()
        ),
        folder,
    )


def _table(path: Path, columns: int) -> Iterator[tuple[str, str, str]]:
    """Each line as (name, rest of the line, "file:line number")."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            name, *rest = line.strip().split(maxsplit=1)
            at = f"{path}:{number}"
            if columns > 1 and not rest:
                raise DataError(f"{at}: {line.strip()!r} has one column; wanted a name and a value")
            yield name, "".join(rest), at


def _by_name(path: Path, columns: int) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for name, rest, at in _table(path, columns):
        if name in found:
            raise DataError(f"{at}: {name} is repeated, after {found[name][1]}; wanted each name once")
        found[name] = (rest, at)
    return found


def _optional(path: Path, columns: int) -> dict[str, tuple[str, str]]:
    return _by_name(path, columns) if path.exists() else {}


def _recording(folder: Path, text: str, at: str) -> Path:
    if text.endswith("|") or text.startswith("|"):
        text = _printed_file(text, at)
    archive, colon, offset = text.rpartition(":")
    if colon and offset.isdecimal() and archive.endswith(".ark"):
        raise DataError(f"{at}: {text!r} is an offset in an archive; write it to a wav file (wav-copy) and name that")
    path = Path(text)
    found = path if path.is_absolute() or path.exists() else folder / path
    return found.absolute()


def _printed_file(command: str, at: str) -> str:
    """The file that a command in `wav.scp` prints or decodes.

    Raises:
        DataError: the command does something else.
    """
    try:
        program, *arguments = shlex.split(command.strip("| "))
    except ValueError:  # quotation marks that never end, or no command at all
        program, arguments = "", []
    options = [argument.lstrip("-") for argument in arguments if argument.startswith("-")]
    files = [argument for argument in arguments if not argument.startswith("-")]
    decodes = Path(program).name == "flac" and all(set(option) <= set("cds") for option in options)
    if len(files) == 1 and (decodes or (program == "cat" and not options)):
        return files[0]
    named = next((argument for argument in files if Path(argument).suffix.lower() in AUDIO_SUFFIXES), "")
    hint = f", or name {named} itself if the command only decodes it" if named else ""
    raise DataError(f"{at}: {command!r} is a command; run it once into a wav file and name that{hint}")


def _segments(
    path: Path, recordings: Mapping[str, tuple[Path, str]]
) -> Iterator[tuple[str, tuple[Path, float, float | None, str]]]:
    for name, rest, at in _table(path, 2):
        cells = rest.split()
        try:
            recording, start, end = cells[0], float(cells[1]), float(cells[2])
        except (IndexError, ValueError) as error:
            raise DataError(f"{at}: {rest!r}; wanted a recording, a start and an end in seconds") from error
        if recording not in recordings:
            raise DataError(f"{at}: the recording {recording} is not in wav.scp; add it, or remove the segment")
        if start < 0 or (end <= start and end != -1):
            raise DataError(f"{at}: a segment from {start:g} s to {end:g} s; wanted an end after its start")
        yield name, (recordings[recording][0], start, None if end == -1 else round(end - start, 6), at)


# LibriSpeech


def from_librispeech(folder: Path) -> Manifest:
    """Read LibriSpeech or a part of it: `SPEAKER-CHAPTER.trans.txt` files, with an audio file for each line.

    Raises:
        DataError: the folder has no such file below it, or the audio file of a line is missing.
    """
    found: list[Utterance] = []
    for path in sorted(folder.rglob("*.trans.txt")):
        for name, text, at in _table(path, 2):
            suffixes = (".flac", *sorted(AUDIO_SUFFIXES))
            there = (file for suffix in suffixes if (file := path.parent / f"{name}{suffix}").exists())
            if (audio := next(there, None)) is None:
                raise DataError(f"{at}: {name}.flac is missing in its folder; unpack the archive again")
            found.append(_placed(audio, folder, text=text, speaker=name.split("-")[0], origin=at))
    if not found:
        raise DataError(f"{folder}: no *.trans.txt beneath it; wanted a folder of LibriSpeech such as train-clean-100")
    return Manifest(found, folder)


def _placed(file: Path, folder: Path, **columns: Any) -> Utterance:
    return Utterance(audio=file.relative_to(folder).as_posix(), source=FileSource.of(file), **columns)


def _from_classes(folder: Path) -> Manifest:
    return Manifest.from_folder(folder, labels=True)


# Annotations


def from_annotations(path: Path, tiers: Sequence[str], warn: Callable[[str, str], None]) -> Manifest:
    """The intervals of a file of subtitles, Praat or ELAN, or of all such files in a folder (`annotated_excerpts`).

    In a folder, files that cannot be used are warnings.

    Raises:
        DataError: the file cannot be used, or none of the folder.
    """
    files = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    found: list[Utterance] = []
    errors: list[DataError] = []
    for file in files:
        try:
            recording, excerpts = annotated_excerpts(file, tiers, warn)
        except DataError as error:
            errors.append(error)
            continue
        source = FileSource.of(recording)
        found += (Utterance(audio=str(recording), source=source, **dataclasses.asdict(one)) for one in excerpts)
    if not files:
        raise DataError(f"{path}: holds no annotations; wanted files with a suffix of {', '.join(SUFFIXES)}")
    if not found:
        raise errors[0]
    for unusable in errors:
        warn(f"{unusable}; the file is skipped", "a file that cannot be used")
    return Manifest(found, path)


_READERS: dict[str, Callable[[Path], Manifest]] = {
    "kaldi": from_kaldi,
    "librispeech": from_librispeech,
    "commonvoice": Manifest.read,
    "nemo": Manifest.read,
    "classes": _from_classes,
}
KINDS = (*_READERS, "annotations", "huggingface")
