"""Cuts a stream of samples at pauses into pieces that a model can take; it knows nothing of words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.errors import ConfigError

INAUDIBLE = 1e-4
"""Amplitude below which a sample is silence: -80 dB of full scale, three steps of 16-bit audio."""

_MARGIN = SAMPLE_RATE // 4  # silence kept at either end of a segment, so that no word starts at its edge
_HOP = SAMPLE_RATE // 100  # 10 ms; energies are measured over two hops
_SHORTEST_PAUSE = 10  # hops; stop consonants close for less
_SMALLEST_RANGE_DB = 6.0  # between floor and level; steady sound varies by less, and has no pauses
_QUIETEST_POWER = 1e-10  # -100 dB, so that digital silence has a logarithm


def segments(blocks: Iterable[Waveform], *, max_segment_s: float) -> Iterator[tuple[float, Waveform]]:
    """Cut a stream into segments of at most `max_segment_s`, in order and without overlap.

    What fits into one segment is passed on untouched. Otherwise each cut is sought in the second half of
    the next `max_segment_s`, from the energies of 20 ms frames every 10 ms. Their 10th percentile is the
    noise floor and their 90th the speech level; a pause is a run of at least 100 ms below floor + 1/3 of
    the way to the level, in dB. The cut falls in the middle of the pause with the largest area under that
    threshold, which weighs length and depth; without a pause, in the quietest frame.

    Silence below `INAUDIBLE` is left out at the ends of segments except for 0.25 s; every other sample is
    in exactly one segment. The result does not depend on the lengths of the blocks, and no more than
    `max_segment_s` and one block are held.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        max_segment_s: the length that the recogniser takes, at least 1 s.

    Yields:
        The segment's start in seconds, and its samples: float32 [num_samples].

    Raises:
        ConfigError: `max_segment_s` is below 1 s or not finite.
    """
    if not 1 <= max_segment_s < math.inf:
        raise ConfigError(f"max_segment_s is {max_segment_s}; a finite number of seconds from 1 is wanted")
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
            cut = _cut(buffer[:limit])
            yield from _audible(buffer[:cut], position)
            buffer = buffer[cut:]
            position += cut
        held, count = [buffer], len(buffer)
    rest = np.concatenate(held)
    if position:
        yield from _audible(rest, position)
    elif count:
        yield 0.0, rest


def _audible(waveform: Waveform, position: int) -> Iterator[tuple[float, Waveform]]:
    """The waveform without the silence at its ends, or nothing if it is all silence."""
    if (span := _audible_span(waveform)) is not None:
        yield (position + span.start) / SAMPLE_RATE, waveform[span]


def _audible_span(waveform: Waveform) -> slice | None:
    audible = np.flatnonzero(np.abs(waveform) >= INAUDIBLE)
    if not audible.size:
        return None
    return slice(max(0, int(audible[0]) - _MARGIN), min(len(waveform), int(audible[-1]) + 1 + _MARGIN))


def _cut(window: Waveform) -> int:
    """Where to cut a window that is not the last: after leading silence, else in its second half."""
    span = _audible_span(window)
    if span is None:
        return len(window) - _MARGIN
    if span.start:
        return int(span.start)
    first = len(window) // 2
    return first + _HOP * (1 + _quietest_frame(_energies_db(window[first:])))


def _energies_db(waveform: Waveform) -> np.ndarray:
    """Mean power in dB of 20 ms every 10 ms; the middle of frame i is sample (i + 1) * _HOP."""
    hops = waveform[: len(waveform) // _HOP * _HOP].reshape(-1, _HOP)
    power = np.mean(np.square(hops, dtype=np.float64), axis=1)
    energies: np.ndarray = 10 * np.log10(np.maximum((power[:-1] + power[1:]) / 2, _QUIETEST_POWER))
    return energies


def _quietest_frame(energies_db: np.ndarray) -> int:
    """The index of the middle of the best pause, or of the quietest frame where there is no pause."""
    floor, level = np.percentile(energies_db, (10, 90))
    threshold = floor + (level - floor) / 3
    # Below the floor depth does not count: 30 ms of digital silence are no better a place than a long breath.
    depths = np.clip(threshold - energies_db, 0, threshold - floor)
    edges = np.flatnonzero(np.diff(depths > 0, prepend=False, append=False))
    pauses = [(start, stop) for start, stop in edges.reshape(-1, 2) if stop - start >= _SHORTEST_PAUSE]
    if not pauses or level - floor < _SMALLEST_RANGE_DB:
        return int(energies_db.argmin())
    # Of equals the last: fewer segments.
    start, stop = max(reversed(pauses), key=lambda pause: depths[slice(*pause)].sum())
    return int(start + stop) // 2
