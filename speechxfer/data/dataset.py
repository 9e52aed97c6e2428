"""The utterances of a split as everything downstream takes them, from whatever a person has them in."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeAlias

from speechxfer.data import columns
from speechxfer.data.manifest import Manifest, Utterance, data_digest, length_s
from speechxfer.errors import AudioError, ConfigError, DataError
from speechxfer.sources import AudioSource, FileSource, StoredSource, is_memory_name, memory_name

#: What data may be given as: a manifest's path, a `Manifest`, utterances, rows as dictionaries, or a data set of
#: Hugging Face's `datasets`.
Data: TypeAlias = "str | os.PathLike[str] | Manifest | Iterable[Utterance | Mapping[str, Any]]"

_WANTED = "the path of a manifest, a Manifest, a list of utterances or dictionaries, or a Hugging Face dataset"
_ROW = '{"audio": a path, bytes, or an array with "sample_rate", "text": ...}'
_RATES = ("sample_rate", "sampling_rate")


class Dataset(Manifest):
    """The utterances of one split, made once and passed on; lengths and digest are computed once.

    `path` is the manifest's file; of data in no file, the name of the argument that it was given as.
    """

    @classmethod
    def of(cls, data: Data, name: str = "data") -> Dataset:
        """The utterances of a path, a `Manifest`, utterances or dictionaries, or a Hugging Face dataset.

        A dictionary has a column `audio`: a path, the bytes of a file, an array beside `sample_rate`, an
        `AudioSource`, or a dictionary of `array` and `sampling_rate` (or `bytes`, or `path`). Its other columns are
        those of a manifest.

        Args:
            data: in one of these forms.
            name: what messages call it.

        Raises:
            ConfigError: it is something else.
            DataError: there is nothing in it, or a row cannot be used; the message names the row.
        """
        if isinstance(data, Dataset):
            return data
        if isinstance(data, str | os.PathLike):
            read = Manifest.read(Path(data).expanduser())
            return cls(read, read.path)
        if isinstance(data, Manifest):
            return cls(map(_named, data), data.path or Path(name))
        made = cls(_utterances(data, name), Path(name))
        if not made:
            raise DataError(f"{name}: holds no utterances; wanted at least one")
        return made

    def located(self) -> Self:
        """The same with names of recordings that do not depend on where a manifest of them is."""
        return self.holding(replace(utterance, audio=_name(utterance.source)) for utterance in self)

    @functools.cached_property
    def lengths_s(self) -> tuple[float, ...]:
        """Seconds of each utterance, from the manifest or the recording's header.

        Raises:
            DataError: a recording cannot be read, or ends before the utterance begins.
        """
        return tuple(length_s(utterance) for utterance in self)

    @property
    def duration_s(self) -> float:
        """Seconds of all utterances together."""
        return math.fsum(self.lengths_s)

    @functools.cached_property
    def digest(self) -> str:
        """A name for what stands in it, wherever the corpus is."""
        return data_digest([self])


def is_in_memory(data: object) -> bool:
    """Whether data was not given as the path of a manifest, so that a run has to write down what it was."""
    return not isinstance(data, str | os.PathLike)


def _utterances(data: Any, name: str) -> Iterator[Utterance]:
    if isinstance(data, Mapping):
        has_splits = bool(data) and all(map(is_hub_data, data.values()))
        hint = f"one of its splits ({', '.join(map(str, data))})" if has_splits else _WANTED
        raise ConfigError(f"{name} is of type {type(data).__name__}; wanted {hint}")
    if not isinstance(data, Iterable) or isinstance(data, bytes | bytearray):
        raise ConfigError(f"{name} is {data!r:.80}, of type {type(data).__name__}; wanted {_WANTED}")
    if is_hub_data(data):
        from speechxfer.data import hub

        if hub.audio_columns(data):
            yield from hub.utterances(data, name)
            return
    for number, one in enumerate(data):
        yield _utterance(one, f"{name}[{number}]")


def is_hub_data(data: object) -> bool:
    """Whether something looks like a data set of `datasets`, which is not imported for it."""
    return hasattr(data, "features") and hasattr(data, "cast_column")


def _utterance(one: Any, origin: str) -> Utterance:
    if isinstance(one, Utterance):
        return _named(_checked(one, one.origin or origin))
    if isinstance(one, Mapping):
        return of_row(one, origin)
    raise ConfigError(
        f"{origin} is {one!r:.80}, of type {type(one).__name__}; wanted an Utterance or a dictionary {_ROW}"
    )


def of_row(row: Mapping[str, Any], origin: str) -> Utterance:
    """The utterance that a dictionary describes.

    Raises:
        DataError: a column is missing or cannot be used.
    """
    values = {str(name): _plain(value) for name, value in row.items()}
    column = "audio" if "audio" in values else _audio_column(values, origin)
    audio, rate = values.pop(column), next((values.pop(name) for name in _RATES if name in values), None)
    if not isinstance(audio, str):  # of Common Voice, the path stands beside the sound
        paths = [name for name in values if columns.plain(name) == "path"]
        values |= {f"original_{name}": values.pop(name) for name in paths}
    try:
        source = _source(audio, rate)
    except AudioError as error:
        raise AudioError(f"{origin}: {column}: {error}") from error
    known, extra = columns.values({**values, "audio": _name(source)}, origin)
    return Utterance(**known, source=source, extra=extra, origin=origin)


def _audio_column(values: Mapping[str, Any], origin: str) -> str:
    meanings = columns.meanings(values, origin)
    found = next((name for name, meaning in meanings.items() if meaning == "audio"), None)
    if found is None:
        raise DataError(f"{origin}: no audio among the columns {', '.join(values) or '(none)'}; wanted {_ROW}")
    return found


def _source(audio: Any, rate: Any) -> AudioSource:
    from speechxfer.audio import source_of  # late: NumPy takes its time

    if isinstance(audio, Mapping):  # as `datasets` has it
        rate = next((audio[name] for name in _RATES if name in audio), rate)
        audio = next((audio[name] for name in ("array", "bytes", "path") if audio.get(name) is not None), None)
    return source_of(audio, rate)


def _plain(value: Any) -> Any:
    """A NumPy number as Python has it."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value


def _name(source: AudioSource) -> str:
    """What a manifest calls a recording wherever that manifest is: an absolute address, or a name that is none."""
    if isinstance(source, FileSource | StoredSource):
        return source.key
    return source.name if is_memory_name(source.name) else memory_name(source.name)


def _named(utterance: Utterance) -> Utterance:
    """The same, of a recording in memory with a name that says so."""
    has_address = isinstance(utterance.source, FileSource | StoredSource)
    return utterance if has_address else replace(utterance, audio=_name(utterance.source))


def _checked(utterance: Utterance, origin: str) -> Utterance:
    """The same with values as a manifest's line would have them.

    Raises:
        DataError: one is of the wrong type.
    """
    given = {name: getattr(utterance, name) for name in ("text", "label", "speaker", "start", "duration")}
    given |= {name: getattr(utterance, name) for name in ("audio_stream", "audio_channel")}
    known, _ = columns.values({name: _plain(value) for name, value in given.items()}, origin)
    return replace(utterance, **known, origin=origin)
