"""Detectors that measure levels alone: sound of any kind, and sound that stands out from steady noise."""

from __future__ import annotations

import numpy as np

from speechxfer.audio import Waveform
from speechxfer.inference.silence import INAUDIBLE_DB, SHORTEST_SOUND, audible_hops, hop_powers
from speechxfer.inference.voice_activity.detector import Detector, Flags

_FLOOR_CHUNKS = 8  # the floor is the lowest of so many chunks, 15 s: people pause more often
_ABOVE_FLOOR_DB = 5.0  # steady noise varies by less from one 10 ms to the next


class _Energy:
    """Flags what stands out from the noise floor of the last 15 s.

    Levels are those of the differences of neighboring samples, so that rumble and hum weigh little.
    """

    def __init__(self) -> None:
        self._floors: tuple[float, ...] = ()

    def __call__(self, chunk: Waveform) -> Flags:
        differences = np.diff(chunk, prepend=chunk[:1])
        levels = 10 * np.log10(np.maximum(hop_powers(differences), 10 ** (INAUDIBLE_DB / 10)))
        self._floors = (*self._floors, float(np.percentile(levels, 10)))[-_FLOOR_CHUNKS:]
        above: Flags = levels > min(self._floors) + _ABOVE_FLOOR_DB
        return above & audible_hops(chunk)


#: Whatever is not silent may be speech.
SOUND = Detector(lambda: audible_hops, SHORTEST_SOUND, longest_pause=200, margin=25)
ENERGY = Detector(_Energy, shortest=10, longest_pause=100, margin=25)
