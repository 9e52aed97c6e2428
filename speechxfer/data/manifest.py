"""Manifests: which audio there is, and what is said in it, one utterance a line.

No sound is decoded here, and transcripts stay as they are written; `rows` knows the file formats, `columns` what the
columns are called.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self, overload

from speechxfer.data import columns, folders, rows
from speechxfer.errors import AudioError, DataError
from speechxfer.sources import AudioSource, FileSource, LostSource, is_memory_name

if TYPE_CHECKING:
    from speechxfer.audio import Options

#: Of utterances whose recording is the file that `audio` names.
_BY_NAME: AudioSource = LostSource("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One line of a manifest: a recording, or the `duration` seconds of it that begin at `start`."""

    #: As the manifest has it; relative paths are seen from the manifest's folder.
    audio: str
    #: The recording; the file that `audio` names, seen from the working folder, unless another one is given.
    source: AudioSource = _BY_NAME
    text: str | None = None
    label: str | None = None
    speaker: str | None = None
    #: In seconds; no duration means to the end of the file.
    start: float = 0.0
    duration: float | None = None
    #: Which of several audio streams and channels of the file, counted from 0; None for the best, and for all channels.
    audio_stream: int | None = None
    audio_channel: int | None = None
    #: Whether a file that is a little shorter than it should be is an error; else it is used, with a warning.
    strict: bool = False
    #: Columns without a meaning here; they are written back.
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: The beginning of every message about this utterance: "train.jsonl:12".
    origin: str = ""

    def __post_init__(self) -> None:
        if self.source is _BY_NAME:
            object.__setattr__(self, "source", FileSource.of(Path(self.audio)))

    @property
    def path(self) -> Path:
        """The recording's file.

        Raises:
            DataError: it is in memory.
        """
        if not isinstance(self.source, FileSource):
            raise DataError(f"{self.origin}: {self.source.name} is in memory; wanted a file")
        return self.source.path

    @property
    def id(self) -> str:
        """The audio as written, what of it is read, and `@start` for an excerpt that begins later than the file."""
        chosen = {"stream": self.audio_stream, "channel": self.audio_channel}
        parts = [self.audio, *(f"#{name}{number}" for name, number in chosen.items() if number is not None)]
        return "".join([*parts, f"@{self.start}"] if self.start > 0 else parts)

    @property
    def reading(self) -> Options:
        """How its audio is read."""
        return {"stream": self.audio_stream, "channel": self.audio_channel, "strict": self.strict}

    def value(self, column: str) -> Any:
        """What stands in a column, by its own name or by what it means; None where nothing does."""
        if column in self.extra:
            return self.extra[column]
        known = columns.known_as(column)
        return None if known in (None, "end") else getattr(self, str(known))


class Manifest(Sequence[Utterance]):
    """Utterances in order, never changed in place; `path` is the file they were read from."""

    def __init__(self, utterances: Iterable[Utterance], path: Path | None = None) -> None:
        self._utterances = tuple(utterances)
        self.path = path

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read JSON (.jsonl, .ndjson, .json: one object a line, or a list), CSV (.csv) or TSV (.tsv).

        `columns` has the names that columns may have. An empty cell of a table is no value, nor is a NaN. Clips that
        Common Voice keeps in `clips/` are found there.

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
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        *,
        labels: bool = False,
        tiers: Sequence[str] = (),
        skipped: Callable[[str], None] = lambda _message: None,
        warn: Callable[[str, str], None] = lambda _message, _kind: None,
    ) -> Manifest:
        """All audio files beneath `folder`, sorted by path, with the transcripts beside them (`folders.recordings`).

        With `labels`, an utterance's label is the name of the first-level folder that it lies in. `tiers` are those of
        annotations beside the files. `skipped` is called with files that cannot be used, `warn` with what is wrong with
        annotations that can be, and the kind of it.

        Raises:
            DataError: no audio, a transcript that is not UTF-8, or a file outside the folders of labels.
        """
        folder = Path(folder)
        return cls(
            Utterance(
                audio=file.relative_to(folder).as_posix(),
                source=FileSource.of(file),
                label=folders.folder_label(file, folder) if labels else None,
                **dataclasses.asdict(excerpt),
            )
            for file, excerpt in folders.recordings(folder, skipped, tiers, warn)
        )

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Utterance | Self:
        if isinstance(index, slice):
            return self.holding(self._utterances[index])
        return self._utterances[index]

    def __len__(self) -> int:
        return len(self._utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self._utterances)

    def __repr__(self) -> str:
        return f"<Manifest of {len(self)} utterances{f' from {self.path}' if self.path else ''}>"

    def holding(self, utterances: Iterable[Utterance]) -> Self:
        """Other utterances under the same name: a part of these, or these and more."""
        return type(self)(utterances, self.path)

    def spread(self, count: int) -> Self:
        """So many of the utterances, at even distances."""
        return self.holding(self[number * len(self) // count] for number in range(count))

    @property
    def texts(self) -> list[str | None]:
        """The transcripts, None where there is none."""
        return [utterance.text for utterance in self]

    @property
    def duration_s(self) -> float:
        """Seconds of all utterances together, as far as they are known; `with_durations` knows them all."""
        return math.fsum(utterance.duration or 0.0 for utterance in self)

    def with_durations(
        self,
        progress: Callable[[float], None] = lambda _done: None,
        warn: Callable[[str, str], None] = lambda _message, _kind: None,
        refused: Callable[[DataError], None] | None = None,
    ) -> Self:
        """The same utterances with the durations that were unknown, from the headers of the files.

        `progress` is called with 1 for each utterance, `warn` with what is wrong with a file that can be used, and the
        kind of it (`Progress.warn`). With `refused`, utterances that cannot be read are left out and their errors
        handed to it.

        Raises:
            DataError: without `refused`, a file cannot be read, or an utterance starts after its end.
        """

        def measured() -> Iterator[Utterance]:
            for utterance in self:
                try:
                    yield dataclasses.replace(utterance, duration=length_s(utterance, warn))
                except DataError as error:
                    if refused is None:
                        raise
                    refused(error)
                progress(1)

        return self.holding(measured())

    def labeled_by(self, column: str) -> Self:
        """The same utterances with what stands in another column as their labels: the speaker, say.

        Raises:
            DataError: the first line that has nothing in it.
        """

        def labeled(utterance: Utterance) -> Utterance:
            value = utterance.value(column)
            if value is None:
                has = ["speaker"] * (utterance.speaker is not None) + list(utterance.extra)
                raise DataError(f"{utterance.origin}: has no {column!r} to be its label; wanted one of its columns: {', '.join(has) or 'none'}")  # fmt: skip  # noqa: E501
            return dataclasses.replace(utterance, label=str(value))

        return self.holding(map(labeled, self))

    def strictly(self) -> Self:
        """The same utterances; reading one whose file is a little shorter than it should be is an error then."""
        return self.holding(dataclasses.replace(utterance, strict=True) for utterance in self)

    def check_files(self) -> None:
        """Look whether all audio files are there, which takes much less time than a run that stops midway.

        Raises:
            DataError: the first three that are not there, and how many more.
        """
        missing = [(utterance, why) for utterance in self if (why := utterance.source.problem())]
        if missing:
            first = "; ".join(f"{one.origin}: {why}" for one, why in missing[:3])
            more = f" (+{len(missing) - 3} more)" if len(missing) > 3 else ""
            of_files = any(isinstance(utterance.source, FileSource) for utterance, _ in missing)
            where = "; relative paths are seen from the manifest's folder" if of_files else ""
            raise DataError(f"{first}{more}{where}")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write in the format of the suffix, with relative paths that are right from the folder of `path`.

        In tables, `extra` values that are not strings become JSON, an empty text becomes none, and the label of an
        utterance that is of no class the empty list.

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
        if rows.is_table(path):  # in a table an empty cell says that nothing is known
            lines = [row | {"label": "[]"} if row.get("label") == "" else row for row in lines]
        rows.write(path, lines, first=_WRITTEN)


def data_digest(manifests: Iterable[Manifest]) -> str:
    """A name for what stands in manifests: the same lines in the same order, wherever the corpus is.

    Of absolute paths it counts what is below the folder that they have in common.
    """
    digest = hashlib.blake2b(digest_size=8)
    for manifest in manifests:
        absolute = {path for one in manifest if (path := PurePath(one.audio)).is_absolute()}
        shared = os.path.commonpath([path.parent for path in absolute]) if absolute else ""
        for utterance in manifest:
            path = PurePath(utterance.audio)
            audio = str(path.relative_to(shared)) if path in absolute else utterance.audio
            line = (audio, utterance.start, utterance.duration, utterance.text, utterance.label)
            chosen = (utterance.audio_stream, utterance.audio_channel)
            digest.update(repr(line if chosen == (None, None) else line + chosen).encode())
    return digest.hexdigest()


# Reading


def stream(path: Path, refused: Callable[[DataError], None] | None = None) -> Iterator[Utterance]:
    """The utterances of a manifest one at a time, for those that must not hold them all.

    With `refused`, lines that cannot be used are passed over and their errors handed to it.

    Raises:
        ConfigError: the suffix is no manifest's.
        DataError: the file cannot be read, or, without `refused`, a line cannot be used.
    """
    for line, row in rows.read(path, columns.is_number, refused):
        try:
            yield utterance_of(row, f"{path}:{line}", path.parent)
        except DataError as error:
            if refused is None:
                raise
            refused(error)


def utterance_of(row: Mapping[str, Any], origin: str, folder: Path) -> Utterance:
    """A row of a manifest in `folder` as an utterance.

    Raises:
        DataError: it names no audio, or a value cannot be used; the message starts with `origin`.
    """
    known, extra = columns.values(row, origin)
    if not known.get("audio"):
        empty = [name for name, column in columns.meanings(row, origin).items() if column == "audio"]
        seen = f"{empty[0]} is empty" if empty else f"no audio among the columns {', '.join(row)}"
        wanted = f"{' or '.join(columns.NAMES['audio'])} with the path of a file (the first line of a table names its columns)"  # fmt: skip  # noqa: E501
        raise DataError(f"{origin}: {seen}; wanted {wanted}")
    return Utterance(**known, source=_source(folder, known["audio"]), extra=extra, origin=origin)


def _source(folder: Path, audio: str) -> AudioSource:
    """The recording that a manifest in `folder` names."""
    return LostSource(audio) if is_memory_name(audio) else FileSource.of(_located(folder, audio))


def _located(folder: Path, audio: str) -> Path:
    """Where a file is that a manifest in `folder` names; other systems write other slashes and forms of Unicode."""
    path = folder / audio
    is_bare = PurePath(audio).name == audio
    if audio.isascii() and not is_bare and "\\" not in audio and not audio.startswith("~/"):
        return path  # without a look at the disk
    if _exists(path):
        return path
    spelled = audio.replace("\\", "/")
    others = [folder / "clips" / audio] if is_bare else []
    others += [Path(spelled).expanduser() if spelled.startswith("~/") else folder / spelled]
    others += [folder / unicodedata.normalize(form, spelled) for form in ("NFC", "NFD")]
    return next(filter(_exists, others), path)


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - `Path.exists` raises for a name that is too long


def length_s(utterance: Utterance, warn: Callable[[str, str], None] = lambda _message, _kind: None) -> float:
    """Seconds of an utterance: its duration, or what the recording's header leaves after its start.

    `warn` is called as by `with_durations`.

    Raises:
        DataError: the recording cannot be read, or ends before the utterance begins.
    """
    from speechxfer import audio

    if utterance.duration is not None:
        return utterance.duration

    # The origin is a line of a manifest, or the file itself, which messages name already.
    origin = "" if utterance.origin == utterance.source.name else f"{utterance.origin}: "

    def notify(notice: audio.Notice) -> None:
        warn(f"{origin}{notice}", notice.kind)

    options: Options = {**utterance.reading, "notify": notify}
    try:
        duration = audio.info(utterance.source, **options).duration
    except AudioError as error:
        raise AudioError(f"{origin}{error}") from error
    if duration <= utterance.start:
        seen = f"starts at {utterance.start} s, but {utterance.audio} is {duration:.3f} s long"
        raise DataError(f"{utterance.origin}: {seen}; wanted a start before its end")
    return duration - utterance.start


# Writing

#: The columns of a table, as far as there is something in them, before all others.
_WRITTEN = ("audio", "text", "label", "start", "duration", "speaker", "audio_stream", "audio_channel")


def _audio_from(folder: Path, utterance: Utterance, real: Callable[[Path], str]) -> str:
    """The audio as a manifest in `folder` should write it: absolute if it was, relative where paths meet."""
    if PurePath(utterance.audio).is_absolute() or not isinstance(utterance.source, FileSource):
        return utterance.audio
    path = utterance.source.path.absolute()
    if path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts:
        return path.relative_to(folder).as_posix()
    # `..` after a symbolic link leads elsewhere than it reads, so real folders are compared.
    target, base = Path(real(path.parent), path.name), Path(real(folder))
    if target.parts[:2] != base.parts[:2]:  # nothing in common but the root
        return str(target)
    return PurePath(os.path.relpath(target, base)).as_posix()


def _row(utterance: Utterance, audio: str) -> dict[str, Any]:
    if reserved := sorted(name for name in utterance.extra if columns.plain(name) in columns.RESERVED):
        raise DataError(f"{utterance.origin or audio}: extra has {reserved[0]!r}; wanted a name of no meaning here")
    values = {column: getattr(utterance, column) for column in _WRITTEN} | {"audio": audio}
    values["start"] = utterance.start or None
    return {name: value for name, value in [*values.items(), *utterance.extra.items()] if value is not None}
