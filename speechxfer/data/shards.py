"""From the name of a manifest to the files it stands for: one, those of a pattern, or the shards in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from speechxfer.data import rows
from speechxfer.errors import ConfigError, DataError
from speechxfer.stores import is_url, spelled
from speechxfer.stores.listing import fixed_part, is_pattern, listed, matches


class Shard(NamedTuple):
    """A file of a manifest.

    Attributes:
        path: of the file.
        root: the folder from which its audio is seen, the same for all files of the manifest.
        below: the file's own folder, seen from there; empty for the same.
    """

    path: Path
    root: Path
    below: str = ""


def shards(name: str | os.PathLike[str]) -> list[Shard]:
    """The files of a manifest in order: of a pattern all that match it, of a folder its tar shards and Parquet files.

    Raises:
        ConfigError: a folder that holds none, or a suffix that is no manifest's.
        DataError: a pattern that nothing matches, or a folder that cannot be read.
    """
    path = Path(name)
    if is_pattern(name):
        found, root = matches(name), Path(fixed_part(name))
        if not found:
            raise DataError(f"{spelled(name)}: no file matches; check the pattern (seen from {Path.cwd()})")
    elif path.suffix.lower() not in rows.SUFFIXES and (path.is_dir() or (is_url(spelled(name)) and not path.suffix)):
        found, root = _in_folder(path), path
    else:
        return [Shard(path, path.parent)]
    files = [Path(one) for one in found]
    for file in files:
        rows.check_suffix(file, (*rows.SUFFIXES, *rows.SHARDS))
    return [Shard(file, root, _below(file.parent, root)) for file in files]


def _in_folder(folder: Path) -> list[str]:
    try:
        found = listed(folder, rows.SHARDS)
    except OSError as error:
        raise DataError(f"{spelled(folder)}: cannot be read ({error.strerror}); wanted a folder of shards") from error
    kinds = {Path(one).suffix.lower() for one in found}
    if len(kinds) != 1:
        seen = f"holds files of {' and '.join(sorted(kinds))}" if kinds else f"a folder without shards ({', '.join(rows.SHARDS)})"  # fmt: skip  # noqa: E501
        wanted = f"name some of them, such as {folder / '*'}{min(kinds)}" if kinds else "wanted a manifest; a folder of recordings becomes one by `speechxfer manifest from-folder`"  # fmt: skip  # noqa: E501
        raise ConfigError(f"{folder}: {seen}; {wanted}")
    return found


def _below(folder: Path, root: Path) -> str:
    below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else ""
    return "" if below == "." else below
