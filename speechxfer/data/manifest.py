"""Manifests: which audio there is, and what is said in it, one utterance a line.

No sound is decoded here, and transcripts stay as they are written; `rows` knows the file formats.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, overload

from speechxfer.data import rows
from speechxfer.errors import AudioError, DataError

#: What a column may be called: our own name, then NeMo's and Common Voice's.
NAMES = {
    "audio": ("audio", "audio_filepath", "path"),
    "text": ("text", "sentence"),
    "label": ("label",),
    "start": ("start", "offset"),
    "duration": ("duration",),
    "speaker": ("speaker", "client_id"),
}
_MEANING = {name: column for column, names in NAMES.items() for name in names}
_NUMERIC = frozenset(name for name, column in _MEANING.items() if column in ("start", "duration"))
_LONGEST_S = 1e9  # 31 years: whatever is more is no time in an audio file


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One line of a manifest: a file, or the `duration` seconds of it that begin at `start`."""

    #: As the manifest has it; relative paths are seen from the manifest's folder.
    audio: str
    #: Where that is.
    path: Path
    text: str | None = None
    label: str | None = None
    speaker: str | None = None
    #: In seconds; no duration means to the end of the file.
    start: float = 0.0
    duration: float | None = None
    #: Columns without a meaning here; they are written back.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: The beginning of every message about this utterance: "train.jsonl:12".
    origin: str = ""

    @property
    def id(self) -> str:
        """The audio as written, with `@start` for an excerpt that begins later than the file."""
        return f"{self.audio}@{self.start}" if self.start > 0 else self.audio


class Manifest(Sequence[Utterance]):
    """Utterances in order, never changed in place; `path` is the file they were read from."""

    def __init__(self, utterances: Iterable[Utterance], path: Path | None = None) -> None:
        self._utterances = tuple(utterances)
        self.path = path

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read JSONL (.jsonl, .ndjson, .json), CSV (.csv) or TSV (.tsv, without quoting).

        An empty cell of a table is no value. Clips that Common Voice keeps in `clips/` are found there.

        Raises:
            ConfigError: the suffix is none of these.
            DataError: the file is missing or empty, or a line cannot be used.
        """
        path = Path(path)
        utterances = tuple(stream(path))
        if not utterances:
            raise DataError(f"{path}: holds no utterances; wanted at least one line with an audio file")
        return cls(utterances, path)

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str], *, labels: bool = False) -> Manifest:
        """All audio files beneath `folder`, sorted by path; hidden ones are passed over.

        The text of `a.wav` is that of `a.txt` or `a.lab` beside it, None where there is neither. With
        `labels`, an utterance's label is the name of the first-level folder that it lies in.

        Raises:
            DataError: no audio, a transcript that is not UTF-8, or a file outside the folders of labels.
        """
        folder = Path(folder)
        files = sorted(file for file in folder.rglob("*") if _is_audio(file, folder))
        if not files:
            seen = "holds no audio files" if folder.is_dir() else "is not a folder"
            raise DataError(f"{folder}: {seen}; wanted a folder with audio files in it, such as .wav or .flac")
        return cls(
            Utterance(
                audio=file.relative_to(folder).as_posix(),
                path=file,
                text=_sidecar_text(file),
                label=_folder_label(file, folder) if labels else None,
                origin=str(file),
            )
            for file in files
        )

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> Manifest: ...
    def __getitem__(self, index: int | slice) -> Utterance | Manifest:
        if isinstance(index, slice):
            return Manifest(self._utterances[index], self.path)
        return self._utterances[index]

    def __len__(self) -> int:
        return len(self._utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self._utterances)

    def __repr__(self) -> str:
        return f"<Manifest of {len(self)} utterances{f' from {self.path}' if self.path else ''}>"

    @property
    def texts(self) -> list[str | None]:
        """The transcripts, None where there is none."""
        return [utterance.text for utterance in self]

    @property
    def duration_s(self) -> float:
        """Seconds of all utterances together, as far as they are known; `with_durations` knows them all."""
        return math.fsum(utterance.duration or 0.0 for utterance in self)

    def with_durations(self, progress: Callable[[float], None] = lambda _done: None) -> Manifest:
        """The same utterances with the durations that were unknown, from the headers of the files.

        `progress` is called with 1 for each utterance.

        Raises:
            DataError: a file cannot be read, or an utterance starts after its end.
        """

        def measured(utterance: Utterance) -> Utterance:
            if utterance.duration is None:
                utterance = dataclasses.replace(utterance, duration=_rest_s(utterance))
            progress(1)
            return utterance

        return Manifest(map(measured, self), self.path)

    def labelled_by(self, column: str) -> Manifest:
        """The same utterances with what stands in another column as their labels: the speaker, say.

        Raises:
            DataError: the first line that has nothing in it.
        """

        def labelled(utterance: Utterance) -> Utterance:
            value = utterance.speaker if column in NAMES["speaker"] else utterance.extra.get(column)
            if value is None:
                has = ["speaker"] * (utterance.speaker is not None) + list(utterance.extra)
                raise DataError(f"{utterance.origin}: has no {column!r} to be its label; wanted one of its columns: {', '.join(has) or 'none'}")  # fmt: skip  # noqa: E501
            return dataclasses.replace(utterance, label=str(value))

        return Manifest(map(labelled, self), self.path)

    def check_files(self) -> None:
        """Look whether all audio files are there, which takes much less time than a run that stops midway.

        Raises:
            DataError: the first three that are not there, and how many more.
        """
        missing = [utterance for utterance in self if not utterance.path.is_file()]
        if missing:
            first = "; ".join(f"{one.origin}: no such file: {one.path}" for one in missing[:3])
            more = f" (+{len(missing) - 3} more)" if len(missing) > 3 else ""
            raise DataError(f"{first}{more}; relative paths are seen from the manifest's folder")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write in the format of the suffix, with relative paths that are right from the folder of `path`.

        In tables, `extra` values that are not strings become JSON, and an empty text becomes none.

        Raises:
            ConfigError: the suffix is no manifest's.
            DataError: nothing to write, a tab or line break for a TSV, an `extra` column of a reserved name.
            StorageError: the file cannot be written.
        """
        path = Path(path)
        rows.check_suffix(path)
        if not self:
            raise DataError(f"{path}: there are no utterances to write; wanted at least one")
        folder = path.parent.absolute()
        real = functools.cache(os.path.realpath)
        lines = [_row(utterance, _audio_from(folder, utterance, real)) for utterance in self]
        rows.write(path, lines, first=tuple(NAMES))


def data_digest(manifests: Iterable[Manifest]) -> str:
    """A name for what stands in manifests: the same lines in the same order."""
    digest = hashlib.blake2b(digest_size=8)
    for manifest in manifests:
        for utterance in manifest:
            line = (utterance.audio, utterance.start, utterance.duration, utterance.text, utterance.label)
            digest.update(repr(line).encode())
    return digest.hexdigest()


# Reading


def stream(path: Path, refused: Callable[[DataError], None] | None = None) -> Iterator[Utterance]:
    """The utterances of a manifest one at a time, for those that must not hold them all.

    With `refused`, lines that cannot be used are passed over and their errors handed to it.

    Raises:
        ConfigError: the suffix is no manifest's.
        DataError: the file cannot be read, or, without `refused`, a line cannot be used.
    """
    for line, row in rows.read(path, _NUMERIC):
        try:
            yield _utterance(row, f"{path}:{line}", path.parent)
        except DataError as error:
            if refused is None:
                raise
            refused(error)


def _utterance(row: Mapping[str, Any], origin: str, folder: Path) -> Utterance:
    """One row, whose values are not None, as an utterance."""
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in row.items():
        column = _MEANING.get(name)
        if column is None:
            extra[name] = value
        elif column in known:
            first = next(other for other in row if _MEANING.get(other) == column)
            raise DataError(f"{origin}: {first} and {name} both mean the {column}; wanted one of them")
        else:
            known[column] = (_seconds if column in ("start", "duration") else _string)(column, name, value, origin)
    if not known.get("audio"):
        seen = "audio is empty" if "audio" in known else f"no audio among the columns {', '.join(row)}"
        wanted = f"{' or '.join(NAMES['audio'])} with the path of a file (the first line of a table names its columns)"
        raise DataError(f"{origin}: {seen}; wanted {wanted}")
    return Utterance(**known, path=_located(folder, known["audio"]), extra=extra, origin=origin)


def _string(column: str, name: str, value: Any, origin: str) -> str:
    if isinstance(value, str):
        return value
    number = type(value) in (int, float)  # which leaves out booleans
    if number and column in ("label", "speaker"):
        return str(value)  # a name that happens to be a number; a text of digits is more likely a mistake
    hint = f'; quote it: "{value}"' if number else ""
    raise DataError(f"{origin}: {name} is {_shown(value)}; wanted a string{hint}")


def _seconds(column: str, name: str, value: Any, origin: str) -> float:
    if type(value) in (int, float) and 0 <= value < _LONGEST_S and (value or column == "start"):
        return float(value)
    wanted = "more than 0 (leave it out to read to the end)" if column == "duration" else "at least 0"
    raise DataError(f"{origin}: {name} is {_shown(value)}; wanted a number of seconds, {wanted}")


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


def _located(folder: Path, audio: str) -> Path:
    path = folder / audio
    clip = folder / "clips" / audio
    return clip if PurePath(audio).name == audio and not path.exists() and clip.exists() else path


def _rest_s(utterance: Utterance) -> float:
    from speechxfer import audio

    try:
        duration = audio.info(utterance.path).duration
    except AudioError as error:
        raise AudioError(f"{utterance.origin}: {error}") from error
    if duration <= utterance.start:
        seen = f"starts at {utterance.start} s, but {utterance.audio} is {duration:.3f} s long"
        raise DataError(f"{utterance.origin}: {seen}; wanted a start before its end")
    return duration - utterance.start


def _is_audio(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    from speechxfer.audio import AUDIO_SUFFIXES

    return file.suffix.lower() in AUDIO_SUFFIXES and not hidden and file.is_file()


def _sidecar_text(file: Path) -> str | None:
    for sidecar in (file.with_suffix(".txt"), file.with_suffix(".lab")):
        try:
            # Line breaks are layout there: the whole file is one transcript.
            return " ".join(sidecar.read_text(encoding="utf-8-sig").split())
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{sidecar}: cannot be read ({error}); wanted a transcript in UTF-8") from error
    return None


def _folder_label(file: Path, folder: Path) -> str:
    label, *below = file.relative_to(folder).parts
    if not below:
        raise DataError(f"{file}: lies in no folder of a label; wanted {folder / 'LABEL' / file.name}")
    return label


# Writing


def _audio_from(folder: Path, utterance: Utterance, real: Callable[[Path], str]) -> str:
    """The audio as a manifest in `folder` should write it: absolute if it was, relative where paths meet."""
    if PurePath(utterance.audio).is_absolute():
        return utterance.audio
    path = utterance.path.absolute()
    if path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts:
        return path.relative_to(folder).as_posix()
    # `..` after a symbolic link leads elsewhere than it reads, so real folders are compared.
    target, base = Path(real(path.parent), path.name), Path(real(folder))
    if target.parts[:2] != base.parts[:2]:  # nothing in common but the root
        return str(target)
    return PurePath(os.path.relpath(target, base)).as_posix()


def _row(utterance: Utterance, audio: str) -> dict[str, Any]:
    if reserved := sorted(_MEANING.keys() & utterance.extra):
        raise DataError(f"{utterance.origin or audio}: extra has {reserved[0]!r}; wanted a name of no meaning here")
    values = {column: getattr(utterance, column) for column in NAMES} | {"audio": audio}
    values["start"] = utterance.start or None
    return {name: value for name, value in [*values.items(), *utterance.extra.items()] if value is not None}
