"""Read folders of recordings with their transcripts."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from speechxfer.data import columns, textfiles
from speechxfer.data.annotations.excerpts import Excerpt, annotated_excerpts
from speechxfer.data.annotations.tiers import Warn
from speechxfer.errors import DataError

#: The transcript of `a.wav` is `a.txt` or `a.lab`, in any case.
_SIDECARS = (".txt", ".lab")
#: Or else annotations.
_ANNOTATIONS = (".eaf", ".textgrid", ".vtt", ".srt")
#: One file for all recordings of a folder, with a name and a text a line, as in LibriSpeech.
_TOGETHER = ".trans.txt"
#: A line of a file in which each word has a start and an end, as in TIMIT (samples) and HTK (100 ns).
_TIMED = re.compile(r"(\d+)\s+(\d{4,})\s+(\S.*)")


def recordings(
    folder: Path,
    skipped: Callable[[str], None],
    tiers: Sequence[str] = (),
    warn: Warn = lambda _message, _kind: None,
) -> list[tuple[Path, Excerpt]]:
    """The recordings of a folder (`recordings.search`), each with its transcript, if it has one.

    The transcript of `a.wav` is `a.txt` or `a.lab` beside it, in upper or lower case, or its line in a `*.trans.txt`.
    If it has none, `a.eaf`, `a.TextGrid`, `a.vtt` or `a.srt` has the excerpts that are utterances.

    Args:
        folder: the folder to search, with all folders in it.
        skipped: called with a message for files without sound, for each file whose name is not UTF-8, and for
            annotations that cannot be used.
        tiers: of the annotations (`annotated_excerpts`).
        warn: called with what is wrong with annotations that can be used.

    Raises:
        DataError: the folder has no audio, or a transcript cannot be read.
    """
    from speechxfer.recordings import listed, search

    files = search(folder)
    if files.skipped:
        skipped(f"{listed(files.skipped)}: no sound in them")
    found: list[tuple[Path, Excerpt]] = []
    for file in files.recordings:
        if _is_unicode(file.relative_to(folder)):
            found += [(file, one) for one in _excerpts(file, skipped, tiers, warn)]
        else:
            skipped(f"{os.fsencode(file)!r}: its name is not UTF-8; rename it")
    _transcripts.cache_clear()
    if not found:
        seen = "holds no audio files" if folder.is_dir() else "is not a folder"
        raise DataError(f"{folder}: {seen}; wanted a folder with audio files, such as .wav or .flac")
    return found


def _excerpts(file: Path, skipped: Callable[[str], None], tiers: Sequence[str], warn: Warn) -> list[Excerpt]:
    """A recording's excerpts: itself, unless there are annotations beside it."""
    beside = _transcripts(file.parent)
    text = beside.get(file.stem)
    if text is None and (annotations := beside.annotations(file.stem)):
        try:
            return annotated_excerpts(annotations, tiers, warn, file)[1]
        except DataError as error:
            skipped(str(error))
    return [Excerpt(text=text, origin=str(file))]


def folder_label(file: Path, folder: Path) -> str:
    """The name of the first-level folder that a file lies in.

    Raises:
        DataError: it lies in none.
    """
    label, *below = file.relative_to(folder).parts
    if not below:
        raise DataError(f"{file}: lies in no folder of a label; wanted {folder / 'LABEL' / file.name}")
    return columns.plain_name(label)


class _Transcripts:
    """The transcripts of a folder, by the names of the recordings without suffix."""

    def __init__(self, folder: Path) -> None:
        self._sidecars: dict[tuple[str, str], Path] = {}
        self._together: dict[str, str] = {}
        for file in sorted(folder.iterdir()):  # lower case comes last, and so replaces upper case
            if file.name.lower().endswith(_TOGETHER):
                self._together |= dict(_named_texts(file))
            elif file.suffix.lower() in _SIDECARS + _ANNOTATIONS:
                for stem in (file.stem, file.stem.casefold()):
                    self._sidecars[stem, file.suffix.lower()] = file

    def get(self, stem: str) -> str | None:
        """The transcript of a recording; None if it has none."""
        sidecar = self._first(stem, _SIDECARS)
        return _text(sidecar) if sidecar else self._together.get(stem)

    def annotations(self, stem: str) -> Path | None:
        """The annotations of a recording; None if it has none."""
        return self._first(stem, _ANNOTATIONS)

    def _first(self, stem: str, suffixes: Sequence[str]) -> Path | None:
        found = (self._sidecars.get((spelled, suffix)) for suffix in suffixes for spelled in (stem, stem.casefold()))
        return next(filter(None, found), None)


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
