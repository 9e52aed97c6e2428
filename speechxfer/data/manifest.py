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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Self, overload

from speechxfer.data import columns, rows
from speechxfer.data.packed import collected
from speechxfer.data.shards import shards
from speechxfer.data.utterance import Utterance, length_s, utterance_of
from speechxfer.errors import DataError
from speechxfer.sources import FileSource, StoredSource
from speechxfer.stores import is_url, spelled

__all__ = ["Manifest", "Utterance", "data_digest", "length_s", "stream", "utterance_of"]


class Manifest(Sequence[Utterance]):
    """Utterances in order, never changed in place; `path` is the file they were read from."""

    def __init__(self, utterances: Iterable[Utterance], path: Path | None = None) -> None:
        # Never changed, so manifests may share them.
        self._utterances: Sequence[Utterance] = (
            utterances._utterances if isinstance(utterances, Manifest) else collected(utterances)
        )
        self.path = path

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read JSON (.jsonl, .ndjson, .json: one object a line, or a list), CSV, TSV, Parquet, or tar shards.

        `columns` has the names that columns may have. An empty cell of a table is no value, nor is a NaN. Clips that
        Common Voice keeps in `clips/` are found there. A pattern (`train-*.tar`, `train-{000..099}.tar`) stands for all
        files that it matches, a folder for the shards in it.

        Raises:
            ConfigError: the suffix is none of these.
            DataError: a file is missing, there is nothing in it, or a line cannot be used.
        """
        path = Path(path)
        found = cls(stream(path), path)
        if not found:
            raise DataError(f"{spelled(path)}: holds no utterances; wanted at least one line with an audio file")
        return found

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
        from speechxfer.data import folders  # late: it brings all formats of annotations

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
            of_files = any(isinstance(utterance.source, FileSource | StoredSource) for utterance, _ in missing)
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
            below = path in absolute and path.is_relative_to(shared)  # not so for "//a", whose root is another
            audio = str(path.relative_to(shared)) if below else utterance.audio
            line = (audio, utterance.start, utterance.duration, utterance.text, utterance.label)
            chosen = (utterance.audio_stream, utterance.audio_channel)
            digest.update(repr(line if chosen == (None, None) else line + chosen).encode())
    return digest.hexdigest()


# Reading


def stream(path: Path, refused: Callable[[DataError], None] | None = None) -> Iterator[Utterance]:
    """The utterances of a manifest one at a time, for those that must not hold them all; `path` as in `Manifest.read`.

    With `refused`, lines that cannot be used are passed over and their errors handed to it.

    Raises:
        ConfigError: the suffix is no manifest's.
        DataError: a file cannot be read, or, without `refused`, a line cannot be used.
    """
    for file, root, below in shards(path):
        name = spelled(file)
        for place, row in rows.read(file, columns.is_number, refused):
            try:
                yield utterance_of(row, f"{name}:{place}", root, below)
            except DataError as error:
                if refused is None:
                    raise
                refused(error)


# Writing

#: The columns of a table, as far as there is something in them, before all others.
_WRITTEN = ("audio", "text", "label", "start", "duration", "speaker", "audio_stream", "audio_channel")


def _audio_from(folder: Path, utterance: Utterance, real: Callable[[Path], str]) -> str:
    """The audio as a manifest in `folder` should write it: absolute if it was, relative where paths meet."""
    if PurePath(utterance.audio).is_absolute() or not isinstance(utterance.source, FileSource | StoredSource):
        return utterance.audio
    if is_url(utterance.source.address):
        return utterance.source.address
    path = Path(utterance.source.address).absolute()
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
