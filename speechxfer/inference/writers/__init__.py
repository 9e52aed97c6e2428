"""Transcripts as text: plain, JSON, tables, subtitles, and the tiers of Praat and ELAN."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from speechxfer.errors import ConfigError
from speechxfer.inference.subtitles import SubtitleOptions
from speechxfer.inference.transcript import Transcript
from speechxfer.inference.writers import elan, plain, subtitles, textgrid
from speechxfer.storage import write_text

_WRITERS: dict[str, Callable[[Transcript], str]] = {
    "txt": plain.txt,
    "json": plain.json_,
    "tsv": plain.tsv,
    "TextGrid": textgrid.textgrid,
    "eaf": elan.eaf,
}
_SUBTITLES: dict[str, Callable[[Transcript, SubtitleOptions], str]] = {"srt": subtitles.srt, "vtt": subtitles.vtt}
_DEFAULT = SubtitleOptions()
SUBTITLE_FORMATS = tuple(_SUBTITLES)
"""The names of formats that have options."""
FORMATS = ("txt", "json", *SUBTITLE_FORMATS, "tsv", "TextGrid", "eaf")
"""The names that `write` knows; files have them as suffixes."""
LINE_FORMATS = tuple(plain.LINES)
"""The names that `write_line` knows."""


def write(transcript: Transcript, format: str, options: SubtitleOptions = _DEFAULT) -> str:  # noqa: A002
    """The transcript as the content of a file.

    `txt`, `json`; subtitles (`srt`, `vtt`), whose cues follow `options`; `tsv`, a table of the segments (start and end
    in seconds); and `TextGrid` (Praat) and `eaf` (ELAN), with a tier of segments and one of words, if these have times.

    Raises:
        ConfigError: another format.
    """
    if format in _SUBTITLES:
        return _SUBTITLES[format](transcript, options)
    if format not in _WRITERS:
        raise ConfigError(f"transcript format {format!r} is not known; wanted one of {', '.join(FORMATS)}")
    return _WRITERS[format](transcript)


def write_line(transcript: Transcript, format: str) -> str:  # noqa: A002
    """The transcript as one line among those of other recordings: `source: text` (txt) or an object (json).

    Raises:
        ConfigError: a format that takes more than a line.
    """
    if format not in plain.LINES:
        raise ConfigError(f"a transcript as {format!r} does not fit on a line; wanted {' or '.join(LINE_FORMATS)}")
    return plain.LINES[format](transcript)


def write_transcript(
    transcript: Transcript,
    path: str | os.PathLike[str],
    *,
    subtitles: SubtitleOptions = _DEFAULT,
) -> None:
    """Write a transcript to a file, in the format of its suffix (`FORMATS`, in upper or lower case).

    Args:
        transcript: what is written.
        path: of the file, which is replaced if it exists.
        subtitles: limits of the cues of `.srt` and `.vtt`.

    Raises:
        ConfigError: another suffix.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    named = path.suffix.removeprefix(".")
    write_text(path, write(transcript, {name.lower(): name for name in FORMATS}.get(named.lower(), named), subtitles))
