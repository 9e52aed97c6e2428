"""Finds the recordings that a command line names, and the paths of their transcripts."""

from __future__ import annotations

import glob
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from speechxfer.data import rows
from speechxfer.errors import AudioError, ConfigError, DataError
from speechxfer.recordings import search
from speechxfer.sources import AudioSource, source_at
from speechxfer.stores import is_remote, is_url, spelled
from speechxfer.stores.listing import fixed_part, is_pattern
from speechxfer.stores.listing import matches as stored_files

_LONGEST_NAME = 255  # bytes, as most file systems allow


@dataclass(frozen=True, slots=True)
class Input:
    """A recording: its path, and its place below the folder or pattern it was found by.

    A `path` of None is the standard input.
    """

    path: Path | None
    place: Path

    @property
    def name(self) -> str:
        """Its name in output; bytes that are not UTF-8 are written as `\\xe9`."""
        return "-" if self.path is None else os.fsencode(spelled(self.path)).decode("utf-8", "backslashreplace")

    def source(self) -> Path | AudioSource:
        """Its path, what is stored elsewhere, or the standard input or a pipe, which can be read only once."""
        if self.path and is_remote(self.path):
            return source_at(self.path)
        return self.path if self.path and not self.path.is_fifo() else _Pipe(self)


class _Pipe(AudioSource):
    """The standard input or a pipe; it is read when its turn comes."""

    __slots__ = ("_bytes", "_input")

    def __init__(self, read: Input) -> None:
        self._input = read
        self._bytes: bytes | None = None

    @property
    def name(self) -> str:
        """As in output."""
        return self._input.name

    def contents(self) -> bytes:
        """All that comes through it.

        Raises:
            AudioError: the standard input is closed, or the pipe cannot be read.
        """
        if self._bytes is None:
            self._bytes = self._read()
        return self._bytes

    def _read(self) -> bytes:
        path = self._input.path
        if path is None:
            if sys.stdin is None:
                raise AudioError("-: the standard input is closed; name a file, or pipe one in")
            return sys.stdin.buffer.read()
        try:
            return path.read_bytes()
        except OSError as error:
            raise AudioError(f"{self.name}: cannot be read ({error.strerror or error}); check the path") from error


@dataclass(frozen=True, slots=True)
class Inputs:
    """The recordings that were named or found, each once, and the files in folders that are no recordings."""

    recordings: list[Input] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


def expand(inputs: Sequence[str]) -> Inputs:
    """Files, folders (`recordings.search`), patterns, tar shards, Parquet files, URLs and `-`.

    Raises:
        ConfigError: a folder or pattern matches no recording.
        DataError: a shard cannot be read.
    """
    found: dict[Path | None, Input] = {}
    skipped: dict[Path, Path] = {}
    for name in inputs:
        matches = _matches(name)
        for item in matches.recordings:
            found.setdefault(item.path and item.path.absolute(), item)
        for path in matches.skipped:
            skipped.setdefault(path.absolute(), path)
    return Inputs(list(found.values()), [path for place, path in skipped.items() if place not in found])


def output_paths(inputs: Sequence[Input], folder: Path, suffix: str) -> list[Path]:
    """Where in `folder` each transcript goes: the input's place there, with another suffix.

    Recordings that differ in nothing but their suffix keep it: `a.wav.txt` and `a.mp3.txt`. Names that would be longer
    than file systems allow lose their end and get a digest instead.

    Raises:
        ConfigError: two inputs would share an output, or an output would replace an input.
    """
    stems = Counter(_stem(item) for item in inputs)
    named = [item.place if stems[_stem(item)] > 1 else _stem(item) for item in inputs]
    paths = [folder / place.parent / _fitting(place.name, f".{suffix}") for place in named]
    owners: dict[Path, Input] = {}
    for path, item in zip(paths, inputs, strict=True):
        if path in owners:
            raise ConfigError(
                f"{owners[path].name} and {item.name} would both be written to {path}; rename one of them, "
                "name a folder that holds both, or choose another --output-dir for each"
            )
        owners[path] = item
    _check_kept(owners)
    return paths


def _stem(item: Input) -> Path:
    return item.place.parent / os.path.splitext(item.place.name)[0]  # noqa: PTH122 - `..wav` has no suffix


def _fitting(stem: str, suffix: str) -> str:
    name = os.fsencode(stem)
    if len(name) + len(suffix) <= _LONGEST_NAME:
        return f"{stem}{suffix}"
    end = f"~{hashlib.blake2b(name, digest_size=4).hexdigest()}{suffix}"
    return name[: _LONGEST_NAME - len(end)].decode(errors="ignore") + end


def _check_kept(owners: dict[Path, Input]) -> None:
    """Raise ConfigError where an output, under whatever name, is one of the inputs."""
    kept = {identity(item.path): item for item in owners.values() if item.path}
    for path, owner in owners.items():
        found = identity(path)
        if found and (item := kept.get(found)):
            would = f"{path}, the transcript of {owner.name}, would replace the recording {item.name}"
            raise ConfigError(f"{would}; choose another --output-dir or --format")


def identity(path: Path) -> tuple[int, int] | None:
    """The identity of the file at a path, whatever its name; None where there is no file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _matches(name: str) -> Inputs:
    if name == "-":
        return Inputs([Input(None, Path("stdin"))])
    if is_url(name):
        return _at_urls(name)
    # Path.glob knows no absolute patterns. A file is allowed to be called `a[1].wav`.
    named = glob.glob(glob.escape(name))  # noqa: PTH207
    paths = [Path(path) for path in named or sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
    if not paths and name and not glob.has_magic(name):
        return Inputs([Input(Path(name), Path(Path(name).name))])  # missing; reported when its turn comes
    files, skipped = [], []
    for path in paths:
        if path.is_dir():
            found = search(path)
            files += found.recordings
            skipped += found.skipped
        else:
            files.append(path)
    if not files and paths:
        seen = f", only {len(skipped)} files without sound" if skipped else ""
        raise ConfigError(f"{name}: holds no recordings{seen}; name a folder with files such as .wav or .mp3")
    if not files:
        raise ConfigError(f"{name}: no such file, folder or match; check the path (seen from {Path.cwd()})")
    root = _root(Path(name), is_pattern=not named)
    return Inputs([Input(file, file.relative_to(root)) for file in _unpacked(files)], skipped)


def _at_urls(name: str) -> Inputs:
    files = [Path(address) for address in stored_files(name)] if is_pattern(name) else [Path(spelled(name))]
    if not files:
        raise ConfigError(f"{spelled(name)}: no file matches; check the pattern")
    root = Path(fixed_part(name))
    return Inputs([Input(file, file.relative_to(root)) for file in _unpacked(files)])


def _unpacked(files: Iterable[Path]) -> Iterator[Path]:
    """The same files, of tar shards and Parquet files the recordings in them."""
    for file in files:
        if file.suffix.lower() in rows.SHARDS and not file.is_dir():
            named = (str(row.get("audio")) for _, row in rows.read(file))
            inside = [file.parent / name for name in named if name.startswith(f"{file.name}/")]
            if not inside:
                raise DataError(f"{spelled(file)}: holds no recordings; wanted a file with recordings in it")
            yield from inside
        else:
            yield file


def _root(path: Path, *, is_pattern: bool) -> Path:
    """What outputs leave out of the paths found: a folder that was named, or a pattern's fixed beginning."""
    if is_pattern:
        return Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    return path if path.is_dir() else path.parent
