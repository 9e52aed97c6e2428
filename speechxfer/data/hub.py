"""Data sets of the Hugging Face hub as manifests, with their encoded audio."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from speechxfer.data import columns
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import ConfigError, DataError, StorageError
from speechxfer.sources import AudioSource, BytesSource, FileSource

#: Names of text, label and speaker columns; the first existing one is used.
_ON_THE_HUB = {
    "text": (*columns.NAMES["text"], *columns.OTHER_NAMES["text"]),
    "label": (*columns.NAMES["label"], *columns.OTHER_NAMES["label"], "intent_class", "keyword"),
    "speaker": (*columns.NAMES["speaker"], *columns.OTHER_NAMES["speaker"]),
}
_SUFFIXES = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"}


def from_huggingface(source: str, folder: Path, split: str | None = None) -> Manifest:
    """A data set that `datasets` saved to disk, or one on the hub; no audio is decoded.

    Classes are written by their names, several of an utterance as `dog|cat`; the number -1 stands for none.

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
    if not audio_columns(data):
        raise DataError(f"{source}: no column of audio among {', '.join(data.features)}; wanted one")

    def in_a_file(sound: Mapping[str, Any], number: int) -> tuple[str, AudioSource]:
        path = _stored_sound(sound, number, folder)
        # Files written to the manifest's folder move with it.
        audio = f"{folder.name}/{path.name}" if path.parent == folder.absolute() else str(path)
        return audio, FileSource.of(path)

    return Manifest(_rows(data, "row {}", in_a_file), Path(source))


def audio_columns(data: Any) -> list[str]:
    """The audio columns of a data set of `datasets`, without importing that library."""
    return [name for name, feature in (data.features or {}).items() if type(feature).__name__ == "Audio"]


def utterances(data: Any, name: str) -> Iterator[Utterance]:
    """The utterances of a data set of `datasets`, whose audio is loaded when it is read.

    Args:
        data: with a column of audio.
        name: what messages call it.

    Raises:
        DataError: a row has neither sound nor a file of it, or a number that stands for no class.
    """

    def where_it_is(sound: Mapping[str, Any], number: int) -> tuple[str, AudioSource]:
        path, encoded = sound.get("path"), sound.get("bytes")
        if not encoded and path and Path(path).is_file():
            return str(Path(path).absolute()), FileSource.of(Path(path))
        if not encoded:
            raise DataError(f"{name}[{number}]: neither bytes nor an audio file ({path}); load the data set again")
        source = _Cell(stored, number, column, encoded) if hasattr(stored, "__len__") else BytesSource(encoded)
        return source.name, source

    (column, *_), stored = audio_columns(data), _stored(data)
    yield from _rows(data, f"{name}[{{}}]", where_it_is)


class _Cell(AudioSource):
    """A cell of a data set, which is loaded when it is read."""

    __slots__ = ("_column", "_name", "_number", "_stored")

    def __init__(self, stored: Any, number: int, column: str, encoded: bytes) -> None:
        self._stored, self._number, self._column = stored, number, column
        self._name = BytesSource(encoded).name

    @property
    def name(self) -> str:
        """`memory:` and the digest of the content."""
        return self._name

    def contents(self) -> bytes:
        """The encoded file."""
        return bytes(self._stored[self._number][self._column]["bytes"])


def _stored(data: Any) -> Any:
    """The data set with encoded audio."""
    column = audio_columns(data)[0]
    return data.cast_column(column, type(data.features[column])(decode=False))


#: From a cell with sound and the number of its row: what a manifest calls it, and the recording.
_Place = Callable[[Mapping[str, Any], int], tuple[str, AudioSource]]


def _rows(data: Any, origin: str, place: _Place) -> Iterator[Utterance]:
    column, stored = audio_columns(data)[0], _stored(data)
    names = {meaning: _first(known, stored.features) for meaning, known in _ON_THE_HUB.items()}
    for number, row in enumerate(stored):
        yield _from_row(row, origin.format(number), column, names, stored.features, *place(row[column] or {}, number))


def _first(names: tuple[str, ...], features: Mapping[str, Any]) -> str | None:
    return next((name for name in names if name in features), None)


def _from_row(
    row: Mapping[str, Any],
    origin: str,
    column: str,
    names: Mapping[str, str | None],
    features: Mapping[str, Any],
    audio: str,
    source: AudioSource,
) -> Utterance:
    read = {
        name: _read_value(value, features.get(name), f"{origin}: {name}")
        for name, value in row.items()
        if name != column
    }
    values = {column: read.pop(name) if name else None for column, name in names.items()}
    text, label, speaker = values["text"], values["label"], values["speaker"]
    return Utterance(
        audio=audio,
        source=source,
        text=None if text is None else str(text),
        label=columns.SEPARATOR.join(map(str, label)) if isinstance(label, list) else _as_name(label),
        speaker=_as_name(speaker),
        extra=_renamed({name: value for name, value in read.items() if value is not None}),
        origin=origin,
    )


def _read_value(value: Any, feature: Any, origin: str) -> Any:
    """A value of a data set for JSON: names of classes, and None for missing values."""
    if isinstance(value, list):
        inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
        return [one for part in value if (one := _read_value(part, inner, origin)) is not None]
    if isinstance(value, int) and hasattr(feature, "int2str"):
        return _class_name(value, feature, origin)
    if isinstance(value, float) and math.isnan(value):
        return None
    try:
        json.dumps(value)
    except (TypeError, ValueError):  # a date, bytes
        return str(value)
    return value


def _class_name(number: int, feature: Any, origin: str) -> str | None:
    if number < 0:  # so the hub writes the classes of test sets that it keeps to itself
        return None
    try:
        return columns.plain_name(str(feature.int2str(number)))
    except (ValueError, IndexError) as error:
        raise DataError(f"{origin} is {number}, which is not the index of a class ({error}); load the data set again") from error  # fmt: skip  # noqa: E501


def _as_name(value: Any) -> str | None:
    return None if value is None else columns.plain_name(str(value))


def _renamed(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Rename columns whose name has a meaning in a manifest that may not apply here."""
    return {
        f"original_{name}" if columns.plain(name) in columns.RESERVED else name: value for name, value in extra.items()
    }


def _stored_sound(sound: Mapping[str, Any], number: int, folder: Path) -> Path:
    path, data = sound.get("path"), sound.get("bytes")
    if path and Path(path).is_file():
        return Path(path).absolute()
    if not data:
        raise DataError(f"row {number}: neither bytes nor an audio file ({path}); load the data set again")
    suffix = next((suffix for head, suffix in _SUFFIXES.items() if data.startswith(head)), Path(path or "").suffix)
    file = folder.absolute() / f"{number:07}{suffix}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise StorageError(f"{file}: could not be written ({error.strerror}); free some space, then import again") from error  # fmt: skip  # noqa: E501
    return file
