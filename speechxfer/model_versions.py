"""What has to be the same wherever a model is opened for the same work."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

from speechxfer.encoders.checkpoints import Checkpoint, find
from speechxfer.encoders.files import add_file
from speechxfer.runtime.folder import is_exported


def versions_of(name: str, language: str | None = None) -> dict[str, str]:
    """The versions of this package and of a model, wherever its folder is.

    Raises:
        CheckpointError: there is no such model, or a file cannot be read.
    """
    return {"speechxfer": importlib.metadata.version("speechxfer"), "model": _digest(_folders(name, language))}


def _folders(name: str, language: str | None) -> list[Path]:
    if is_exported(name):
        return [Path(name).expanduser()]
    checkpoint: Checkpoint | None = find(name, language=language)
    folders = []
    while checkpoint is not None:  # an adapter, and the model below it
        folders.append(checkpoint.folder)
        checkpoint = checkpoint.base
    return folders


def _digest(folders: Iterable[Path]) -> str:
    """A name for all files of a model."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            add_file(digest, path.relative_to(folder).as_posix(), path)
    return digest.hexdigest()
