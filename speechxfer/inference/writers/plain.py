"""Transcripts as plain text, JSON and a table."""

from __future__ import annotations

import json
from collections.abc import Callable

from speechxfer.errors import printable
from speechxfer.inference.transcript import Transcript


def txt(transcript: Transcript) -> str:
    """The text alone."""
    return transcript.text + "\n"


def json_(transcript: Transcript) -> str:
    """Everything, as `Transcript.to_dict`."""
    return json.dumps(transcript.to_dict(), ensure_ascii=False, indent=2) + "\n"


def tsv(transcript: Transcript) -> str:
    """A row a segment, after a line with the names of the columns; seconds."""
    rows = (f"{part.start:.3f}\t{part.end:.3f}\t{' '.join(part.text.split())}\n" for part in transcript.segments)
    return "".join(["start\tend\ttext\n", *rows])


def _txt_line(transcript: Transcript) -> str:
    return f"{printable(transcript.source or '')}: {' '.join(transcript.text.split())}\n"


def _json_line(transcript: Transcript) -> str:
    return json.dumps(transcript.to_dict(), ensure_ascii=False) + "\n"


LINES: dict[str, Callable[[Transcript], str]] = {"txt": _txt_line, "json": _json_line}
"""The formats in which a transcript is one line among those of others."""
