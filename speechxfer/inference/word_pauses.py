"""Words without the pauses around them, for models whose words follow each other without a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Word
from speechxfer.inference.silence import HOP, energies_db

#: A pause is this much quieter than the loudest speech, unless there is more noise than that.
_BELOW_SPEECH_DB, _ABOVE_NOISE_DB = 35.0, 10.0
_PER_S = SAMPLE_RATE // HOP


def without_pauses(words: Sequence[Word], waveform: Waveform) -> tuple[Word, ...]:
    """Words of a waveform that begin and end with sound; one in which nothing sounds stays as it is."""
    if not words:
        return ()
    sounds = _sounds(waveform)
    return tuple(_sounding(word, sounds) for word in words)


def _sounding(word: Word, sounds: NDArray[np.bool_]) -> Word:
    first = round(word.start * _PER_S)
    found = np.flatnonzero(sounds[first : round(word.end * _PER_S)])
    if not found.size:
        return word
    start, end = (first + found[0]) / _PER_S, (first + found[-1] + 1) / _PER_S
    return replace(word, start=float(max(start, word.start)), end=float(min(end, word.end)))


def _sounds(waveform: Waveform) -> NDArray[np.bool_]:
    """Whether each 10 ms stands out from pauses; all do where levels hardly differ."""
    if len(waveform) < 2 * HOP:
        return np.ones(1, dtype=np.bool_)
    levels = energies_db(waveform)
    noise, speech = np.percentile(levels, (10, 99))
    pause = min(max(noise + _ABOVE_NOISE_DB, speech - _BELOW_SPEECH_DB), speech - _ABOVE_NOISE_DB)
    return np.asarray(np.append(levels, levels[-1]) > pause)  # levels are one less than there are hops
