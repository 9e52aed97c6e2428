"""Which recordings a command line means, and what their transcripts are called."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from speechxfer.audio import AUDIO_SUFFIXES
from speechxfer.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Input:
    """A recording: its path, and its place below the folder or pattern it was found by, without suffix.

    A `path` of None is the standard input.
    """

    path: Path | None
    place: Path

    @property
    def name(self) -> str:
        """What output calls it; bytes that are no UTF-8 are replaced."""
        return "-" if self.path is None else os.fsencode(self.path).decode("utf-8", "replace")

    def source(self) -> Path | bytes:
        """Its path, or what the standard input holds."""
        return sys.stdin.buffer.read() if self.path is None else self.path


def expand(inputs: Sequence[str]) -> list[Input]:
    """Files, folders (to any depth, sorted, without hidden files), patterns and `-`; each file once.

    Raises:
        ConfigError: a folder or pattern matches nothing.
    """
    found: dict[Path | None, Input] = {}
    for name in inputs:
        for match in _matches(name):
            found.setdefault(match.path and match.path.absolute(), match)
    return list(found.values())


def output_paths(inputs: Sequence[Input], folder: Path, suffix: str) -> list[Path]:
    """Where in `folder` each transcript goes: the input's place there, with another suffix.

    Raises:
        ConfigError: two inputs would share an output.
    """
    owners: dict[Path, Input] = {}
    for item in inputs:
        path = folder / item.place.with_name(f"{item.place.name}.{suffix}")
        if path in owners:
            raise ConfigError(
                f"{owners[path].name} and {item.name} would both be written to {path}; rename one of them, "
                "name a folder that holds both, or choose another --output-dir for each"
            )
        owners[path] = item
    return list(owners)


def _matches(name: str) -> list[Input]:
    if name == "-":
        return [Input(None, Path("stdin"))]
    # Path.glob knows no absolute patterns. A file is allowed to be called `a[1].wav`.
    named = glob.glob(glob.escape(name))  # noqa: PTH207
    paths = [Path(path) for path in named or sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
    files = [file for path in paths for file in (_recordings(path) if path.is_dir() else [path])]
    if not paths and name and not glob.has_magic(name):
        return [Input(Path(name), Path(Path(name).stem))]  # missing; told when its turn comes, as other bad files
    if not files and paths:
        raise ConfigError(f"{name}: holds no recordings; name a folder with files such as .wav or .mp3")
    if not files:
        raise ConfigError(f"{name}: no such file, folder or match; check the path (seen from {Path.cwd()})")
    root = _root(Path(name), is_pattern=not named)
    places = (file.relative_to(root) for file in files)
    return [Input(file, place.with_name(place.stem)) for file, place in zip(files, places, strict=True)]


def _root(path: Path, *, is_pattern: bool) -> Path:
    """What outputs leave out of the paths found: a folder that was named, or a pattern's fixed beginning."""
    if is_pattern:
        return Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    return path if path.is_dir() else path.parent


def _recordings(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in AUDIO_SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
