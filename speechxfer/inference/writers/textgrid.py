"""Transcripts as TextGrid files of Praat, in the long form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from speechxfer.inference.transcript import Transcript
from speechxfer.inference.writers.tiers import Label, tiers


def textgrid(transcript: Transcript) -> str:
    """A tier of segments, and one of words if they have times; silence between them is intervals without text."""
    found = list(tiers(transcript))
    segments = [segment for segment, _ in found]
    words = [word for _, of_segment in found for word in of_segment]
    end_ms = max([round(1000 * transcript.duration), 1, *(segment.end_ms for segment in segments[-1:])])
    named = [("segments", segments), *([("words", words)] if words else [])]
    parts = [part for number, tier in enumerate(named, 1) for part in _tier(number, *tier, end_ms)]
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", f"xmin = 0\nxmax = {_s(end_ms)}"]
    return "\n".join([*head, "tiers? <exists>", f"size = {len(named)}", "item []:", *parts, ""])


def _tier(number: int, name: str, labels: Sequence[Label], end_ms: int) -> Iterator[str]:
    filled = list(_filled(labels, end_ms))
    yield f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"'
    yield f"        xmin = 0\n        xmax = {_s(end_ms)}\n        intervals: size = {len(filled)}"
    for place, label in enumerate(filled, 1):
        yield f"        intervals [{place}]:"
        yield f"            xmin = {_s(label.start_ms)}\n            xmax = {_s(label.end_ms)}"
        yield '            text = "{}"'.format(label.text.replace('"', '""'))


def _filled(labels: Sequence[Label], end_ms: int) -> Iterator[Label]:
    """Labels and the silence around them, without gaps from 0 to the end."""
    until = 0
    for label in [*labels, Label(end_ms, end_ms, "")]:
        if label.start_ms > until:
            yield Label(until, label.start_ms, "")
        if label.end_ms > label.start_ms:
            yield label
        until = label.end_ms


def _s(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g}" if milliseconds < 1_000_000 else f"{milliseconds / 1000:.3f}"
