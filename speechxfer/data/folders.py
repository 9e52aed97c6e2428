"""Read folders of recordings with their transcripts."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from speechxfer.data import textfiles
from speechxfer.errors import DataError

#: The transcript of `a.wav` is `a.txt` or `a.lab`, in any case.
_SIDECARS = (".txt", ".lab")
#: One file for all recordings of a folder, with a name and a text a line, as in LibriSpeech.
_TOGETHER = ".trans.txt"
#: A line of a file in which each word has a start and an end, as in TIMIT (samples) and HTK (100 ns).
_TIMED = re.compile(r"(\d+)\s+(\d{4,})\s+(\S.*)")


def recordings(folder: Path, skipped: Callable[[str], None]) -> list[tuple[Path, str | None]]:
    """The recordings of a folder (`recordings.search`), each with its transcript, or None if it has none.

    The transcript of `a.wav` is `a.txt` or `a.lab` beside it, in upper or lower case, or its line in a `*.trans.txt`.

    Args:
        folder: the folder to search, with all folders in it.
        skipped: called with a message for files without sound, and for each file whose name is not UTF-8.

    Raises:
        DataError: the folder has no audio, or a transcript cannot be read.
    """
    from speechxfer.recordings import listed, search

    files = search(folder)
    if files.skipped:
        skipped(f"{listed(files.skipped)}: no sound in them")
    found: list[tuple[Path, str | None]] = []
    for file in files.recordings:
        if _is_unicode(file.relative_to(folder)):
            found.append((file, _transcripts(file.parent).get(file.stem)))
        else:
            skipped(f"{os.fsencode(file)!r}: its name is not UTF-8; rename it")
    _transcripts.cache_clear()
    if not found:
        seen = "holds no audio files" if folder.is_dir() else "is not a folder"
        raise DataError(f"{folder}: {seen}; wanted a folder with audio files, such as .wav or .flac")
    return found


class _Transcripts:
    """The transcripts of a folder, by the names of the recordings without suffix."""

    def __init__(self, folder: Path) -> None:
        self._sidecars: dict[tuple[str, str], Path] = {}
        self._together: dict[str, str] = {}
        for file in sorted(folder.iterdir()):  # lower case comes last, and so replaces upper case
            if file.name.lower().endswith(_TOGETHER):
                self._together |= dict(_named_texts(file))
            elif file.suffix.lower() in _SIDECARS:
                for stem in (file.stem, file.stem.casefold()):
                    self._sidecars[stem, file.suffix.lower()] = file

    def get(self, stem: str) -> str | None:
        """The transcript of a recording; None if it has none."""
        for suffix in _SIDECARS:
            for spelled in (stem, stem.casefold()):
                if sidecar := self._sidecars.get((spelled, suffix)):
                    return _text(sidecar)
        return self._together.get(stem)


@functools.lru_cache(maxsize=8)
def _transcripts(folder: Path) -> _Transcripts:
    return _Transcripts(folder)


def _named_texts(path: Path) -> Iterator[tuple[str, str]]:
    for line in textfiles.lines(path):
        name, *text = line.split(maxsplit=1)
        yield name, " ".join(text).strip()


def _text(sidecar: Path) -> str:
    """A file as one transcript, without line breaks and without the times of words."""
    lines = [line.strip() for line in textfiles.lines(sidecar) if line.strip()]
    timed = [_TIMED.fullmatch(line) for line in lines]
    if timed and all(timed):
        spans = [(int(line[1]), int(line[2])) for line in timed if line]
        ends = [0, *(end for _, end in spans)]
        if spans[0][0] == 0 and all(before <= start < end for before, (start, end) in zip(ends, spans, strict=False)):
            lines = [line[3] for line in timed if line]
    return " ".join(" ".join(lines).split())


def _is_unicode(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
