"""Utterances of large manifests in few bytes: about 200 for one, where objects take 800."""

from __future__ import annotations

import itertools
import marshal
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from speechxfer.data.utterance import Utterance
from speechxfer.sources import AudioSource, FileSource, StoredSource, source_at

#: As many are kept as objects: each is made once then, and what is known of its recording's header stays known.
MOST_OBJECTS = 50_000
_COLUMNS = ("audio", "text", "label", "speaker", "start", "duration", "audio_stream", "audio_channel", "strict")


def collected(utterances: Iterable[Utterance]) -> Sequence[Utterance]:
    """All of them: as objects where they are few, else packed as they come."""
    coming = iter(utterances)
    first = tuple(itertools.islice(coming, MOST_OBJECTS + 1))
    return first if len(first) <= MOST_OBJECTS else _Packed(itertools.chain(first, coming))


class _Packed(Sequence[Utterance]):
    """Utterances that are made when they are asked for; equal to those that were given."""

    def __init__(self, utterances: Iterable[Utterance]) -> None:
        self._data, self._ends = bytearray(), array("Q", [0])
        self._names: dict[str, int] = {}
        self._sources: list[AudioSource] = []
        self._extras: dict[int, Any] = {}
        for number, utterance in enumerate(utterances):
            self._data += self._written(utterance, number)
            self._ends.append(len(self._data))
        self._listed = list(self._names)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[Utterance]:
        return map(self._read, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | Sequence[Utterance]:
        if isinstance(index, slice):
            return collected(map(self._read, range(*index.indices(len(self)))))
        return self._read(range(len(self))[index])

    def _named(self, name: str) -> int:
        """The number of something that many utterances have in common."""
        return self._names.setdefault(name, len(self._names))

    def _written(self, utterance: Utterance, number: int) -> bytes:
        file, colon, line = utterance.origin.rpartition(":")
        has_line = line.isdecimal() and str(int(line)) == line
        origin = (self._named(file + colon), int(line)) if has_line else (self._named(utterance.origin), None)
        values = tuple(getattr(utterance, name) for name in _COLUMNS)
        extra = dict(utterance.extra) or None
        try:
            return marshal.dumps((values, origin, self._place(utterance), extra))
        except ValueError:  # what is no plain value
            self._extras[number] = utterance.extra
            return marshal.dumps((values, origin, self._place(utterance), None))

    def _place(self, utterance: Utterance) -> tuple[int, str | None]:
        """Where the recording is: a folder and what follows the audio's name there, or the number of an object."""
        source = utterance.source
        if not isinstance(source, FileSource | StoredSource):
            self._sources.append(source)
            return len(self._sources) - 1, None
        if source.address.endswith(utterance.audio):
            return self._named(source.address.removesuffix(utterance.audio)), ""
        return self._named(""), source.address

    def _read(self, number: int) -> Utterance:
        values, (origin, line), (place, address), extra = marshal.loads(
            self._data[self._ends[number] : self._ends[number + 1]]
        )
        source = self._sources[place] if address is None else source_at(address or self._listed[place] + values[0])
        return Utterance(
            **dict(zip(_COLUMNS, values, strict=True)),
            source=source,
            extra=self._extras.get(number, extra or {}),
            origin=self._listed[origin] + ("" if line is None else str(line)),
        )
