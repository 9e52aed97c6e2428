"""Finds silence in a waveform by its level; no model is run on silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE, Waveform

INAUDIBLE_DB = -84
"""Level in dB of full scale below which sound is silence: two steps of 16-bit audio, more than its dither."""

HOP = SAMPLE_RATE // 100
"""Samples in the 10 ms over which levels are measured."""

SHORTEST_SOUND = 3
"""Hops; what is shorter and stands alone is a click, such as the edge of a constant offset."""

_QUIETEST_POWER = 1e-10  # -100 dB, so that digital silence has a logarithm
_ABOVE_NOISE_DB, _SMALLEST_RANGE_DB = 10.0, 20.0  # speech stands out from noise, if there is speech
_GUARD_S = 0.2  # a word may begin and end more softly than that


def is_silent(waveform: Waveform) -> bool:
    """Whether float32 mono 16 kHz samples hold no sound: zeros, a constant, dither, or a click."""
    # In most waveforms something sounds in the first second, so the rest need not be looked at.
    return not (audible(waveform[:SAMPLE_RATE]).any() or audible(waveform).any())


def audible(waveform: Waveform) -> NDArray[np.bool_]:
    """Whether each 10 ms of a waveform is sound, and no click [ceil(num_samples / HOP)]; the last may be shorter."""
    loud = audible_hops(waveform)
    for start, stop in runs(loud):
        if stop - start < SHORTEST_SOUND:
            loud[start:stop] = False
    return loud


def audible_hops(waveform: Waveform) -> NDArray[np.bool_]:
    """Whether each 10 ms of a waveform is louder than silence [ceil(num_samples / HOP)]."""
    loud: NDArray[np.bool_] = hop_powers(waveform) >= 10 ** (INAUDIBLE_DB / 10)
    return loud


def hop_powers(waveform: Waveform) -> NDArray[np.float64]:
    """The power of each 10 ms without its mean [ceil(num_samples / HOP)], so that a constant offset is silence."""
    whole = len(waveform) // HOP * HOP
    powers: NDArray[np.float64] = np.var(waveform[:whole].reshape(-1, HOP), axis=1, dtype=np.float64)
    if whole < len(waveform):
        powers = np.append(powers, np.var(waveform[whole:], dtype=np.float64))
    return powers


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where flags are set, as [start, stop)."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def energies_db(waveform: Waveform) -> NDArray[np.float64]:
    """Mean power in dB of 20 ms every 10 ms; the middle of frame i is sample (i + 1) * HOP."""
    hops = waveform[: len(waveform) // HOP * HOP].reshape(-1, HOP)
    power = np.mean(np.square(hops, dtype=np.float64), axis=1)
    energies: NDArray[np.float64] = 10 * np.log10(np.maximum((power[:-1] + power[1:]) / 2, _QUIETEST_POWER))
    return energies


def sounding_s(waveform: Waveform) -> tuple[float, float]:
    """From when to when something sounds, in seconds; all of a waveform that is silent.

    That is its audible part, and of this, where speech stands out from noise, what does, with 0.2 s at either end.
    """
    duration_s = len(waveform) / SAMPLE_RATE
    loud = np.flatnonzero(audible(waveform))
    if not loud.size:
        return 0.0, duration_s
    start_s, end_s = loud[0] * HOP / SAMPLE_RATE, min((loud[-1] + 1) * HOP / SAMPLE_RATE, duration_s)
    energies = energies_db(waveform)
    floor, level = np.percentile(energies, (10, 99))
    if level - floor >= _SMALLEST_RANGE_DB:
        speech = np.flatnonzero(energies > floor + _ABOVE_NOISE_DB)
        start_s = max(start_s, speech[0] * HOP / SAMPLE_RATE - _GUARD_S)
        end_s = min(end_s, (speech[-1] + 2) * HOP / SAMPLE_RATE + _GUARD_S)
    return float(start_s), float(end_s)
