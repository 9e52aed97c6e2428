"""Splits a stream of samples at pauses into segments that a model can take, by levels alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.errors import ConfigError
from speechxfer.inference.silence import HOP, audible, energies_db, runs

_MARGIN = SAMPLE_RATE // 4  # silence kept at either end of a segment, so that no word starts at its edge
_LONGEST_SILENCE = 2 * SAMPLE_RATE  # longer silence is in no segment: models lose and invent words around it
_SHORTEST_PAUSE = 10  # hops; stop consonants close for less
_SMALLEST_RANGE_DB = 6.0  # between floor and level; steady sound varies by less, and has no pauses


def segments(blocks: Iterable[Waveform], *, max_segment_s: float) -> Iterator[tuple[float, Waveform]]:
    """Cut a stream into segments of at most `max_segment_s`, in order and without overlap.

    Silence (`silence.audible`) of more than 2 s is left out wherever it stands, except for 0.25 s beside sound, and so
    is any silence beside a cut; every other sample is in exactly one segment. What fits into one segment and has no
    long silence is passed on as it is.

    Otherwise each cut is sought in the second half of the next `max_segment_s`, from the energies of 20 ms frames every
    10 ms. Their 10th percentile is the noise floor and their 90th the speech level; a pause is a run of at least 100 ms
    below floor + 1/3 of the way to the level, in dB. The cut falls in the middle of the pause with the largest area
    under that threshold, which weighs length and depth; without a pause, in the quietest frame.

    The result does not depend on the lengths of the blocks, and no more than `max_segment_s` and one block are held.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        max_segment_s: the longest segment in seconds, at least 1.

    Yields:
        The segment's start in seconds, and its samples: float32 [num_samples].

    Raises:
        ConfigError: `max_segment_s` is below 1 s or not finite.
    """
    if not 1 <= max_segment_s < math.inf:
        raise ConfigError(f"max_segment_s is {max_segment_s}; wanted a finite number of seconds, at least 1")
    return _segments(blocks, int(max_segment_s * SAMPLE_RATE))


def _segments(blocks: Iterable[Waveform], limit: int) -> Iterator[tuple[float, Waveform]]:
    held = [np.empty(0, np.float32)]
    count = position = 0  # samples held, and where in the stream they begin
    for block in blocks:
        held.append(block)
        count += len(block)
        if count <= limit:
            continue
        buffer = np.concatenate(held)
        while len(buffer) > limit:
            part, done = _next(buffer[:limit], is_first=not position, is_last=False)
            yield from _placed(buffer, part, position)
            buffer = buffer[done:]
            position += done
        held, count = [buffer], len(buffer)
    buffer = np.concatenate(held)
    while len(buffer):
        part, done = _next(buffer, is_first=not position, is_last=True)
        yield from _placed(buffer, part, position)
        buffer = buffer[done:]
        position += done


def _placed(buffer: Waveform, part: slice | None, position: int) -> Iterator[tuple[float, Waveform]]:
    if part is not None:
        yield (position + part.start) / SAMPLE_RATE, buffer[part]


def _next(window: Waveform, *, is_first: bool, is_last: bool) -> tuple[slice | None, int]:
    """The next segment in a window, if it begins with one, and how many samples are done.

    What follows the window is unknown unless it is the last.
    """
    size = len(window)
    sounds = [(start * HOP, min(stop * HOP, size)) for start, stop in runs(audible(window))]
    if not sounds:
        return None, size if is_last else size - _MARGIN
    start = sounds[0][0]
    if start > (_LONGEST_SILENCE if is_first and is_last else _MARGIN):
        return None, start - _MARGIN
    stops, starts = [stop for _, stop in sounds], [*(start for start, _ in sounds[1:]), size]
    for stop, following in zip(stops, starts, strict=True):
        if following - stop > _LONGEST_SILENCE:
            at_the_end = is_last and following == size
            return slice(0, stop + _MARGIN), size if at_the_end else following - _MARGIN
    if is_last:
        return slice(0, size), size
    cut = _cut(window)
    sound_end = max((min(stop, cut) for start, stop in sounds if start < cut), default=0)
    return slice(0, min(cut, sound_end + _MARGIN)), cut


def _cut(window: Waveform) -> int:
    """Where to cut a window that is not the last: in its second half."""
    first = len(window) // 2
    return first + HOP * (1 + _quietest_frame(energies_db(window[first:])))


def _quietest_frame(energies: NDArray[np.float64]) -> int:
    """The index of the middle of the best pause, or of the quietest frame where there is no pause."""
    floor, level = np.percentile(energies, (10, 90))
    threshold = floor + (level - floor) / 3
    # Below the floor depth does not count: 30 ms of digital silence are no better a place than a long breath.
    depths = np.clip(threshold - energies, 0, threshold - floor)
    pauses = [(start, stop) for start, stop in runs(depths > 0) if stop - start >= _SHORTEST_PAUSE]
    if not pauses or level - floor < _SMALLEST_RANGE_DB:
        return int(energies.argmin())
    # Of equals the last: fewer segments.
    start, stop = max(reversed(pauses), key=lambda pause: depths[slice(*pause)].sum())
    return (start + stop) // 2
