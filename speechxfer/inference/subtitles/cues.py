"""Cues of a transcript: where each begins and ends, how long it stays, and its lines.

Cues end at pauses; between two pauses, those are chosen together that cost least: few cues that end at clauses and can
be read in their time. A cue stays into the pause after it as long as its reader needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from speechxfer.inference.subtitles.breaks import break_cost, cheapest, ends_sentence
from speechxfer.inference.subtitles.lines import lines
from speechxfer.inference.subtitles.options import SubtitleOptions
from speechxfer.inference.subtitles.pieces import LONG_PAUSE_S, Piece, blocks, joined, width
from speechxfer.inference.transcript import Transcript

#: A shorter gap between two cues would flicker, so the first stays until the second (Netflix: 3 to 11 frames).
_FLICKER_S = 0.5
#: Times of speech may be wrong, but they are divided by.
_SHORTEST_S = 0.001


@dataclass(frozen=True, slots=True)
class Cue:
    """Lines that are shown from `start_ms` to `end_ms`, whole milliseconds."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def cues(transcript: Transcript, options: SubtitleOptions) -> list[Cue]:
    """The cues of a transcript, in order, without overlap, each at least 1 ms long.

    Every word is in one cue. A cue breaks a limit only where words leave no choice: a word that is longer than a line,
    speech that is faster than reading.
    """
    groups = [group for block in blocks(transcript.segments) for group in _groups(block, options)]
    ends = [round(1000 * group[-1].end) for group in groups]
    return list(_timed(groups, options, max([round(1000 * transcript.duration), *ends])))


def _groups(block: Sequence[Piece], options: SubtitleOptions) -> Iterator[Sequence[Piece]]:
    """The pieces of each cue."""
    bad_ends = [2 * break_cost(before, after) for before, after in itertools.pairwise(block)] + [0.0]
    # After the last piece there is a pause, which gives all the time that is needed, as far as is known here.
    shown_until = [piece.start - options.gap for piece in block[1:]] + [block[-1].end + LONG_PAUSE_S]

    def steps(start: int) -> Iterator[tuple[int, float]]:
        inner = 0.0  # ends of sentences inside
        for stop, columns in _fitting(block, start, options):
            last = block[stop - 1]
            time = last.end - block[start].start, shown_until[stop - 1] - block[start].start
            yield stop, 1 + bad_ends[stop - 1] + inner + _unreadable(columns, *time, options)
            inner += 0.5 * ends_sentence(last)

    return (block[start:stop] for start, stop in cheapest(len(block), steps))


def _fitting(block: Sequence[Piece], start: int, options: SubtitleOptions) -> Iterator[tuple[int, int]]:
    """Each stop of a cue from `start` that fits, with its width in all; one piece always fits."""
    total = line = 0
    num_lines = 1
    for place in range(start, len(block)):
        piece = block[place]
        space = piece.is_spaced and place > start
        if line and line + space + piece.width > options.line_length:
            num_lines, line = num_lines + 1, 0
        line += piece.width + (space if line else 0)
        total += piece.width + space
        too_long = piece.is_timed and piece.end - block[start].start > options.max_duration
        if place > start and (num_lines > options.lines or too_long):
            break
        yield place + 1, total


def _unreadable(columns: int, spoken_s: float, shown_s: float, options: SubtitleOptions) -> float:
    """The cost of a cue: of little time from 0.5 to 10.5, of a short text up to 0.5, of a long time up to 2.

    Cues last too long only where times are only those of a segment.
    """
    hurry = min(max(_needed_s(columns, options) / max(shown_s, _SHORTEST_S) - 1, 0.0), 2.0)
    emptiness = max(1 - columns / options.line_length, 0.0) ** 2 / 2
    return 5 * hurry + 0.5 * (hurry > 0) + emptiness + min(max(spoken_s / options.max_duration - 1, 0.0), 2.0)


def _needed_s(columns: int, options: SubtitleOptions) -> float:
    """Seconds that a reader needs for so many characters."""
    return max(columns / options.characters_per_second, options.min_duration)


def _timed(groups: Sequence[Sequence[Piece]], options: SubtitleOptions, end_ms: int) -> Iterator[Cue]:
    """The cues in whole milliseconds, each as long as its reader needs and the next one allows."""
    gap_ms = round(1000 * options.gap)
    starts = [round(1000 * group[0].start) for group in groups]
    until = 0
    for group, begin, following in itertools.zip_longest(groups, starts, starts[1:]):
        start = max(begin, until)
        limit = end_ms if following is None else following - gap_ms
        latest = start + round(1000 * options.max_duration)
        end = max(
            round(1000 * group[-1].end), min(start + math.ceil(1000 * _needed_s(width(joined(group)), options)), latest)
        )
        if following is not None and following - end < 1000 * _FLICKER_S and limit <= latest:
            end = limit
        until = max(min(end, limit), start + 1)
        yield Cue(start, until, tuple(lines(group, options.line_length)))
