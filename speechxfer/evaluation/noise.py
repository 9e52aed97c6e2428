"""A rough estimate of the signal-to-noise ratio from the waveform alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE

_FRAME = SAMPLE_RATE // 50  # 20 ms
#: The quietest frames, by this fraction, are taken as noise.
_QUIET = 0.1
_LEAST_FRAMES = 10
_HIGHEST_DB = 60.0


def snr_db(waveform: NDArray[np.float32]) -> float | None:
    """The signal-to-noise ratio in dB, at most 60; None if there is too little audio.

    The mean power of the quietest tenth of the 20 ms frames is the noise, and the power above it is speech. Utterances
    without a pause look noisier than they are, so the estimate is good for sorting only. Frames of constant samples,
    which no microphone records, are skipped.
    """
    usable = waveform[: len(waveform) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    powers = np.sort(usable.var(axis=1))
    powers = powers[powers > 0]
    if len(powers) < _LEAST_FRAMES:
        return None
    noise = powers[: max(1, round(_QUIET * len(powers)))].mean()
    speech = powers.mean() - noise
    if speech <= 0:
        return None
    return min(_HIGHEST_DB, 10 * math.log10(speech / noise))
