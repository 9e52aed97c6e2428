"""Read annotations in the format of a file's suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from speechxfer.data.annotations import elan, subtitles, textgrid
from speechxfer.data.annotations.tiers import Annotations, Warn
from speechxfer.errors import ConfigError

_READERS: dict[str, Callable[[Path, Warn], Annotations]] = {
    ".srt": subtitles.read,
    ".vtt": subtitles.read,
    ".textgrid": textgrid.read,
    ".eaf": elan.read,
}
SUFFIXES = tuple(_READERS)
"""Of the files that `read` reads, in lower case."""


def read(path: str | os.PathLike[str], warn: Warn = lambda _message, _kind: None) -> Annotations:
    """Read subtitles (.srt, .vtt) or tiers of Praat (.TextGrid) or ELAN (.eaf).

    What cannot be used is left out and reported by `warn`, with its line.

    Args:
        path: of the file.
        warn: called with each warning, and the kind of it.

    Raises:
        ConfigError: the suffix is none of these.
        DataError: the file is missing, in another encoding, damaged, or holds nothing that can be used.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise ConfigError(f"{path}: {path.suffix or 'no suffix'} is no format of annotations; wanted one of {', '.join(SUFFIXES)}")  # fmt: skip  # noqa: E501
    return _READERS[path.suffix.lower()](path, warn)
