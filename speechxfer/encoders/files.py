"""Files of a model folder, and what is wrong with one that was not copied or downloaded whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from speechxfer.errors import CheckpointError
from speechxfer.placeholders import ENOUGH, placeholder

#: Endings of files that a download has not finished.
_UNFINISHED = (".incomplete", ".part", ".crdownload", ".download", ".aria2")


def check_fetched(path: Path) -> None:
    """Look whether a file holds something of its own.

    Raises:
        CheckpointError: it is missing, empty, a pointer of Git LFS, or a web page in place of what was wanted.
    """
    try:
        with path.open("rb") as file:
            start = file.read(ENOUGH)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy or download it again") from error
    if not start:
        raise CheckpointError(f"{path}: is empty, so it was not downloaded or copied whole; fetch it again")
    if found := placeholder(start):
        raise CheckpointError(f"{path}: {found}")


def unfinished(folder: Path) -> str | None:
    """The name of a file that a download into this folder has not finished."""
    places = (folder, folder / ".cache" / "huggingface" / "download")
    found = (item for place in places if place.is_dir() for item in sorted(place.iterdir()))
    return next((item.name for item in found if item.suffix in _UNFINISHED), None)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder, which holds an object.

    Raises:
        CheckpointError: missing, not downloaded, or something else.
    """
    if not path.exists():
        raise CheckpointError(f"{path.parent}: lacks {path.name}, so it is not a whole model folder")
    check_fetched(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); copy the model folder again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}; wanted an object with named values")
    return content


def add_file(digest: hashlib.blake2b, name: str, path: Path) -> None:
    """Add a name and what is in a file to a digest.

    Raises:
        CheckpointError: the file cannot be read.
    """
    digest.update(name.encode("utf-8", "surrogateescape"))
    try:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
