"""Find the recordings in a folder, by name or by content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speechxfer.audio import AUDIO_SUFFIXES, as_stored
from speechxfer.errors import printable

_HEAD = 4096  # bytes of a file that are checked for text
_LAYOUT = frozenset(b"\t\n\v\f\r")
_TEXT_SUFFIXES = (
    ".txt",
    ".lab",
    ".json",
    ".jsonl",
    ".csv",
    ".tsv",
    ".srt",
    ".vtt",
    ".textgrid",
    ".eaf",
)  # any encoding
_MOST_LISTED = 5


@dataclass(frozen=True, slots=True)
class Found:
    """Recordings and skipped files of a folder, sorted by path."""

    recordings: list[Path] = field(default_factory=list)
    #: Files without audio, except text, and folders that cannot be opened.
    skipped: list[Path] = field(default_factory=list)


def search(folder: Path) -> Found:
    """Find recordings below a folder, at any depth; linked folders are followed, each once.

    A file is a recording if it has one of `AUDIO_SUFFIXES`, or if audio can be decoded from it. Hidden files and text
    (transcripts, tables, subtitles, annotations) are ignored; other files without audio are listed as skipped.
    """
    found = Found()
    for file in _files(folder, found.skipped):
        if file.suffix.lower() in AUDIO_SUFFIXES:
            found.recordings.append(file)
        elif file.suffix.lower() not in _TEXT_SUFFIXES and not _is_text(file):
            (found.recordings if _has_sound(file) else found.skipped).append(file)
    found.recordings.sort()
    found.skipped.sort()
    return found


def listed(paths: Sequence[Path]) -> str:
    """The first paths, and the number of the others, as text."""
    more = f" and {len(paths) - _MOST_LISTED} more" if len(paths) > _MOST_LISTED else ""
    return ", ".join(printable(str(path)) for path in paths[:_MOST_LISTED]) + more


def _files(folder: Path, unreadable: list[Path]) -> Iterator[Path]:
    """Files below a folder that are not hidden, each once even if links lead to its folder."""

    def note(error: OSError) -> None:
        unreadable.append(Path(os.fsdecode(error.filename)))

    linked = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=note, followlinks=True):
        folders[:] = [one for one in sorted(folders) if not one.startswith(".") and _is_new(Path(parent, one), linked)]
        for file in (Path(parent, name) for name in names if not name.startswith(".")):
            try:
                is_file = file.is_file()
            except OSError as error:
                note(error)
            else:
                yield from [file] if is_file else []


def _is_new(folder: Path, linked: set[str]) -> bool:
    """Whether a folder is visited for the first time; `linked` are the targets of links so far."""
    if not folder.is_symlink():
        return True
    target = os.path.realpath(folder)
    known = any(target == other or f"{target}{os.sep}".startswith(f"{other}{os.sep}") for other in linked)
    around = any(other.startswith(f"{target}{os.sep}") for other in linked)
    linked.add(target)
    return not known and not around


def _is_text(file: Path) -> bool:
    """Whether a file starts with UTF-8 text, or is empty."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if len(head) - error.start > 3:  # otherwise a character is split at the end
            return False
    return all(byte >= 0x20 or byte in _LAYOUT for byte in head)


def _has_sound(file: Path) -> bool:
    try:
        next(as_stored(file))
    except Exception:  # decoders raise all kinds of errors for foreign files
        return False
    return True
