"""A cue's pieces on lines: as few as possible, broken at clauses, of similar lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from speechxfer.inference.subtitles.breaks import break_cost, cheapest
from speechxfer.inference.subtitles.pieces import Piece, joined

#: More than anything that a line can gain.
_LINE_COST = 100.0


def lines(pieces: Sequence[Piece], line_length: int) -> list[str]:
    """The text on the fewest lines of at most `line_length`; a piece that is longer has a line of its own."""

    def steps(start: int) -> Iterator[tuple[int, float]]:
        for stop, width in _widths(pieces, start):
            if width > line_length and stop > start + 1:
                break
            bad_break = break_cost(pieces[stop - 1], pieces[stop]) if stop < len(pieces) else 0.0
            # The sum of squares is least where lines have the same length.
            yield stop, _LINE_COST + 2 * (width / line_length) ** 2 + bad_break

    return [joined(pieces[start:stop]) for start, stop in cheapest(len(pieces), steps)]


def _widths(pieces: Sequence[Piece], start: int) -> Iterator[tuple[int, int]]:
    """Each stop after `start`, with the width of a line of these pieces."""
    total = 0
    for place in range(start, len(pieces)):
        total += pieces[place].width + (pieces[place].is_spaced and place > start)
        yield place + 1, total
