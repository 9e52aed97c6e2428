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
#: One file for a folder with a name and a text per line, as in LibriSpeech.
_TOGETHER = ".trans.txt"
#: Words with start and end in samples or time, as in TIMIT and HTK.
_TIMED = re.compile(r"(\d+)\s+(\d{4,})\s+(\S.*)")


def recordings(folder: Path, skipped: Callable[[str], None]) -> list[tuple[Path, str | None]]:
    """The recordings of a folder (`recordings.search`) and the text of each; None without a transcript.

    The text of `a.wav` is that of `a.txt` or `a.lab` beside it, in any case of letters, or its line in a `*.trans.txt`.

    Args:
        folder: to look through.
        skipped: is called with a line about files without sound, and about each whose name no manifest can hold.

    Raises:
        DataError: no audio, or a transcript that cannot be read.
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
    """The texts of a folder by the stems of the recordings."""

    def __init__(self, folder: Path) -> None:
        self._sidecars: dict[tuple[str, str], Path] = {}
        self._together: dict[str, str] = {}
        for file in sorted(folder.iterdir()):  # upper case before lower case, which then stays
            if file.name.lower().endswith(_TOGETHER):
                self._together |= dict(_named_texts(file))
            elif file.suffix.lower() in _SIDECARS:
                for stem in (file.stem, file.stem.casefold()):
                    self._sidecars[stem, file.suffix.lower()] = file

    def get(self, stem: str) -> str | None:
        """The text of a recording."""
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
    """The whole file as one transcript, without line breaks and the times of words."""
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
