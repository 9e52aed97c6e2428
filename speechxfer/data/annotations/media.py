"""Find the recording that a file of annotations belongs to."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from speechxfer.data.annotations.tiers import Media
from speechxfer.errors import DataError


def recording_of(path: Path, media: Sequence[Media] = ()) -> tuple[Path, float]:
    """The recording of a file, and when in it (seconds) the time of the file is 0.

    Of the recordings that the file names, the first that is where it says, or else beside it. If it names none, or they
    are missing, the recording of the same name beside it: `talk.wav` for `talk.eaf` or `talk.en.srt`.

    Raises:
        DataError: there is none.
    """
    for one in media:
        for place in _places(path.parent, one):
            if os.path.isfile(place):  # noqa: PTH113 - `Path.is_file` raises for a name that is too long
                return place, one.offset
    if beside := next(filter(Path.is_file, _beside(path)), None):
        return beside, media[0].offset if media else 0.0
    if media:
        named = PurePosixPath(urllib.parse.unquote(_spelled(media[0].paths[-1]))).name if media[0].paths else ""
        raise DataError(f"{path}: its recording {named!r} is missing; wanted it at {path.with_name(named or 'a.wav')}")
    raise DataError(f"{path}: there is no recording beside it; wanted {path.with_suffix('.wav')}, or another suffix")


def _places(folder: Path, media: Media) -> Iterator[Path]:
    """Where a recording may be: as it is written, also with characters as %20, and beside the file."""
    spelled = [form for text in media.paths for form in (_spelled(text), urllib.parse.unquote(_spelled(text)))]
    yield from (folder / text for text in spelled)
    yield from (folder / PurePosixPath(text).name for text in spelled)


def _beside(path: Path) -> Iterator[Path]:
    """Recordings of the same name, those with the usual suffix first."""
    from speechxfer.audio import AUDIO_SUFFIXES

    for stem in dict.fromkeys((path.stem, Path(path.stem).stem)):
        yield from (path.with_name(f"{stem}{suffix}") for suffix in (".wav", ".WAV", *sorted(AUDIO_SUFFIXES)))


def _spelled(text: str) -> str:
    """A path without the scheme of an address, and with slashes."""
    text = text.replace("\\", "/").removeprefix("file:")
    return f"/{text.lstrip('/')}" if text.startswith("//") else text
