"""Corpora in other layouts as manifests: Kaldi, LibriSpeech, Common Voice, NeMo, folders of classes, Hugging Face."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from speechxfer.data.manifest import NAMES, Manifest, Utterance
from speechxfer.data.rows import lines
from speechxfer.errors import ConfigError, DataError

#: How data sets on the hub call what a manifest calls text, label and speaker; the first that is there counts.
_TEXT = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_transcription")
_LABEL = ("label", "labels", "intent_class", "keyword")
_SPEAKER = ("speaker", "speaker_id", "client_id")
_SUFFIXES = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}


def read_corpus(kind: str, source: str, *, beside: Path, split: str | None = None) -> Manifest:
    """A corpus as a manifest.

    Args:
        kind: one of `KINDS`.
        source: file, folder, or name on the hub.
        beside: where the manifest will be written; audio that is stored in no file of its own is put into a folder
            beside it.
        split: of a Hugging Face data set that has several.

    Raises:
        ConfigError: another kind, or a library that is not installed.
        DataError: files that are missing, or lines that cannot be used.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is no kind of corpus; wanted one of: {', '.join(KINDS)}")
    if split is not None and kind != "huggingface":
        raise ConfigError(f"--split {split} is for Hugging Face data sets; name the part in SOURCE")
    if kind == "huggingface":
        return from_huggingface(source, beside.with_name(f"{beside.stem}-audio"), split)
    return _READERS[kind](Path(source))


# Kaldi


def from_kaldi(folder: Path) -> Manifest:
    """A data folder of Kaldi: wav.scp with plain files, and text, segments and utt2spk where there are any.

    Relative paths are seen from the working folder, as Kaldi does, or from the data folder.

    Raises:
        DataError: no wav.scp, a command or archive in it, lines that are too short, or names that do not match.
    """
    recordings = {name: (_recording(folder, path, at), at) for name, path, at in _table(folder / "wav.scp", 2)}
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
                path=path,
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
    """(name, rest of the line, where it stands) of each line."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            at = f"{path}:{number}"
            if columns > 1 and not rest.strip():
                raise DataError(f"{at}: {line.strip()!r} has one column; wanted a name and a value")
            yield name, rest.strip(), at


def _optional(path: Path, columns: int) -> dict[str, tuple[str, str]]:
    return {name: (rest, at) for name, rest, at in _table(path, columns)} if path.exists() else {}


def _recording(folder: Path, text: str, at: str) -> Path:
    if text.endswith("|") or text.startswith("|"):
        raise DataError(f"{at}: {text!r} is a command; run it once into a wav file and name that")
    archive, colon, offset = text.rpartition(":")
    if colon and offset.isdecimal() and archive.endswith(".ark"):
        raise DataError(f"{at}: {text!r} is a place in an archive; write it to a wav file (wav-copy) and name that")
    path = Path(text)
    found = path if path.is_absolute() or path.exists() else folder / path
    return found.absolute()


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
            raise DataError(f"{at}: the recording {recording} is not in wav.scp; add it, or leave the segment out")
        if start < 0 or (end <= start and end != -1):
            raise DataError(f"{at}: a segment from {start:g} s to {end:g} s; wanted an end after its start")
        yield name, (recordings[recording][0], start, None if end == -1 else round(end - start, 6), at)


# LibriSpeech


def from_librispeech(folder: Path) -> Manifest:
    """All of LibriSpeech or a part: texts in SPEAKER-CHAPTER.trans.txt, one file of audio for each line.

    Raises:
        DataError: no transcripts beneath the folder, or a line without its audio.
    """
    found: list[Utterance] = []
    for path in sorted(folder.rglob("*.trans.txt")):
        for name, text, at in _table(path, 2):
            audio = path.parent / f"{name}.flac"
            if not audio.exists():
                raise DataError(f"{at}: there is no {name}.flac beside it; unpack the archive again")
            found.append(_placed(audio, folder, text=text, speaker=name.split("-")[0], origin=at))
    if not found:
        raise DataError(f"{folder}: no *.trans.txt beneath it; wanted a folder of LibriSpeech such as train-clean-100")
    return Manifest(found, folder)


def _placed(file: Path, folder: Path, **columns: Any) -> Utterance:
    return Utterance(audio=file.relative_to(folder).as_posix(), path=file, **columns)


def _from_classes(folder: Path) -> Manifest:
    return Manifest.from_folder(folder, labels=True)


# Hugging Face


def from_huggingface(source: str, folder: Path, split: str | None = None) -> Manifest:
    """A data set that `datasets` saved to disk, or one on the hub; nothing is decoded.

    Args:
        source: its folder or name.
        folder: for sound that has no file of its own; written as it is stored.
        split: needed where there are several.

    Raises:
        ConfigError: `datasets` is not installed.
        DataError: it cannot be opened, has several splits, or no column of audio.
    """
    try:
        datasets: Any = importlib.import_module("datasets")  # optional, and slow to import
    except ImportError as error:
        raise ConfigError("`datasets` is not installed; python -m pip install 'speechxfer[datasets]'") from error
    try:
        data = datasets.load_from_disk(source) if Path(source).is_dir() else datasets.load_dataset(source)
    except Exception as error:  # its own errors have no common base
        raise DataError(f"{source}: `datasets` cannot open it ({error}); check the name or the folder") from error
    if isinstance(data, Mapping):
        if split not in data:
            raise DataError(f"{source}: no split {split!r}; name one by --split: {', '.join(map(str, data))}")
        data = data[split]
    columns = [name for name, feature in data.features.items() if isinstance(feature, datasets.Audio)]
    if not columns:
        raise DataError(f"{source}: no column of audio among {', '.join(data.features)}; wanted one")
    stored = data.cast_column(columns[0], datasets.Audio(decode=False))
    names = {
        "text": _first(_TEXT, stored.features),
        "label": _first(_LABEL, stored.features),
        "speaker": _first(_SPEAKER, stored.features),
    }
    return Manifest(
        (_from_row(row, number, columns[0], names, stored.features, folder) for number, row in enumerate(stored)),
        Path(source),
    )


def _first(names: tuple[str, ...], features: Mapping[str, Any]) -> str | None:
    return next((name for name in names if name in features), None)


def _from_row(
    row: Mapping[str, Any],
    number: int,
    audio: str,
    names: Mapping[str, str | None],
    features: Mapping[str, Any],
    folder: Path,
) -> Utterance:
    values = {column: row[name] for column, name in names.items() if name is not None and row[name] is not None}
    if isinstance(values.get("label"), int):
        with contextlib.suppress(AttributeError):  # a number that stands for no name is the label itself
            values["label"] = features[names["label"] or ""].int2str(values["label"])
    used = {audio, *names.values()}
    extra = {name: value for name, value in row.items() if name not in used and isinstance(value, str | int | float)}
    path = _stored_sound(row[audio], number, folder)
    text, label, speaker = (None if (value := values.get(name)) is None else str(value) for name in names)
    return Utterance(
        # What was written beside the manifest moves with it.
        audio=f"{folder.name}/{path.name}" if path.parent == folder.absolute() else str(path),
        path=path,
        text=text,
        label=label,
        speaker=speaker,
        extra=_renamed(extra),
        origin=f"row {number}",
    )


def _renamed(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that mean something in a manifest, but nothing that is sure here, get another name."""
    reserved = {name for names in NAMES.values() for name in names}
    return {f"original_{name}" if name in reserved else name: value for name, value in extra.items()}


def _stored_sound(sound: Mapping[str, Any], number: int, folder: Path) -> Path:
    path, data = sound.get("path"), sound.get("bytes")
    if path and Path(path).is_file():
        return Path(path).absolute()
    if not data:
        raise DataError(f"row {number}: neither bytes nor a file of sound ({path}); load the data set again")
    suffix = next((suffix for head, suffix in _SUFFIXES.items() if data.startswith(head)), Path(path or "").suffix)
    file = folder.absolute() / f"{number:07}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


_READERS: dict[str, Callable[[Path], Manifest]] = {
    "kaldi": from_kaldi,
    "librispeech": from_librispeech,
    "commonvoice": Manifest.read,
    "nemo": Manifest.read,
    "classes": _from_classes,
}
KINDS = (*_READERS, "huggingface")
