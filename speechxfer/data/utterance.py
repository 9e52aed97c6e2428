"""One line of a manifest: which recording, what of it, and what is said in it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from speechxfer.data import columns
from speechxfer.errors import AudioError, ConfigError, DataError
from speechxfer.sources import AudioSource, FileSource, LostSource, StoredSource, is_memory_name, source_at
from speechxfer.stores import is_url, joined

if TYPE_CHECKING:
    from speechxfer.audio import Options

#: Of utterances whose recording is the file that `audio` names.
_BY_NAME: AudioSource = LostSource("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One line of a manifest: a recording, or the `duration` seconds of it that begin at `start`."""

    #: An address, as the manifest has it; relative paths are seen from the manifest's folder.
    audio: str
    #: The recording; what `audio` names, seen from the working folder, unless another one is given.
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
            object.__setattr__(self, "source", source_at(self.audio))

    @property
    def path(self) -> Path:
        """The recording's file.

        Raises:
            DataError: it is no file of its own.
        """
        if not isinstance(self.source, FileSource):
            raise DataError(f"{self.origin}: {self.source.name} is no file of its own; wanted one")
        return self.source.path

    def located(self) -> Self:
        """The same, whose recording is found from any working folder."""
        is_address = isinstance(self.source, FileSource | StoredSource)
        return replace(self, source=source_at(self.source.key)) if is_address else self

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


def utterance_of(row: Mapping[str, Any], origin: str, folder: Path, below: str = "") -> Utterance:
    """A row of a manifest in `folder`, or in a folder below it, as an utterance whose audio is seen from `folder`.

    Raises:
        DataError: it names no audio, or a value cannot be used; the message starts with `origin`.
    """
    known, extra = columns.values(row, origin)
    if not known.get("audio"):
        empty = [name for name, column in columns.meanings(row, origin).items() if column == "audio"]
        seen = f"{empty[0]} is empty" if empty else f"no audio among the columns {', '.join(row)}"
        wanted = f"{' or '.join(columns.NAMES['audio'])} with the path of a file (the first line of a table names its columns)"  # fmt: skip  # noqa: E501
        raise DataError(f"{origin}: {seen}; wanted {wanted}")
    if below and not (is_url(known["audio"]) or os.path.isabs(known["audio"])):  # noqa: PTH117
        known["audio"] = f"{below}/{known['audio']}"
    try:
        return Utterance(**known, source=_source(folder, known["audio"]), extra=extra, origin=origin)
    except ConfigError as error:
        raise DataError(f"{origin}: {error}") from error


def _source(folder: Path, audio: str) -> AudioSource:
    """The recording that a manifest in `folder` names."""
    return LostSource(audio) if is_memory_name(audio) else source_at(_located(folder, audio))


def _located(folder: Path, audio: str) -> str:
    """Where a file is that a manifest in `folder` names; other systems write other slashes and forms of Unicode."""
    if is_url(audio) or is_url(str(folder)):
        return joined(folder, audio)
    path = os.path.join(folder, audio)  # noqa: PTH118 - a million of these are made
    is_bare = os.path.basename(audio) == audio  # noqa: PTH119
    if audio.isascii() and not is_bare and "\\" not in audio and not audio.startswith("~/"):
        return path  # without a look at the disk
    if _exists(path):
        return path
    spelled = audio.replace("\\", "/")
    others = [folder / "clips" / audio] if is_bare else []
    others += [Path(spelled).expanduser() if spelled.startswith("~/") else folder / spelled]
    others += [folder / unicodedata.normalize(form, spelled) for form in ("NFC", "NFD")]
    return next(filter(_exists, map(str, others)), path)


def _exists(path: str) -> bool:
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
