"""Places the hypotheses of a recording's segments in it, and joins those that overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.word_times import within
from speechxfer.inference.overlap import join
from speechxfer.inference.segmenting import Piece
from speechxfer.inference.silence import sounding_s
from speechxfer.inference.transcript import Segment


class Stitcher:
    """Takes the pieces of one recording in order with what was recognized, and gives its segments as they are final."""

    def __init__(self) -> None:
        self._open: tuple[Piece, Segment] | None = None  # the next piece overlaps with it

    def add(self, piece: Piece, hypothesis: Hypothesis) -> Iterator[Segment]:
        """The segments that are final now, without those that have no text."""
        segment = _place(piece, hypothesis)
        if self._open:
            before, left = self._open
            if piece.start < before.end:
                left, segment = join(left, segment, (piece.start, before.end))
            yield from _written(left)
        self._open = (piece, segment) if piece.is_continued else None
        if not self._open:
            yield from _written(segment)

    def finish(self) -> Iterator[Segment]:
        """The last segment, if it was to overlap with another and nothing more was said."""
        if self._open:
            yield from _written(self._open[1])
        self._open = None


def _written(segment: Segment) -> Iterator[Segment]:
    if segment.text:
        yield segment


def _place(piece: Piece, hypothesis: Hypothesis) -> Segment:
    """A hypothesis as a segment, with times from the beginning of the stream.

    The segment lasts from the first to the last sound of the piece, and includes all its words.
    """
    start_s, end_s = sounding_s(piece.waveform)
    words = tuple(
        replace(word, start=piece.start + word.start, end=piece.start + word.end)
        for word in within(hypothesis.words, piece.duration)
    )
    start = min([piece.start + start_s, *(word.start for word in words)])
    end = max([piece.start + end_s, *(word.end for word in words)])
    return Segment(start, end, hypothesis.text.strip(), words, hypothesis.confidence)
