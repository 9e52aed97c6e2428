"""How far speech stands out of its noise: a rough estimate from the waveform alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE

_FRAME = SAMPLE_RATE // 50  # 20 ms
#: This share of the frames, the quietest, is taken for noise.
_QUIET = 0.1
_LEAST_FRAMES = 10
_HIGHEST_DB = 60.0


def snr_db(waveform: NDArray[np.float32]) -> float | None:
    """The signal-to-noise ratio in dB, at most 60; None where there is too little sound to tell.

    The quietest tenth of the 20 ms frames is noise, whose power every frame has; what is beyond it is speech. An
    utterance without a pause therefore looks noisier than it is: good enough to sort by, not to quote. Frames of
    nothing but equal samples, which no microphone writes, are left out.
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
