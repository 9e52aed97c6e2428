"""The interface of voice activity detectors: samples in, and of each 10 ms of them whether it may be speech."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import Waveform
from speechxfer.inference.silence import HOP, runs

Flags = NDArray[np.bool_]
Marked = tuple[Waveform, Flags]
"""Samples, and whether each `HOP` of them may be speech; only the last hop of a stream may be shorter."""

CHUNK = 192 * HOP
"""Samples that a marker is given at once, 1.92 s."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds speech in streams; it holds no state between them.

    Attributes:
        start: makes the marker of one stream: it returns the flags of its next `CHUNK` samples, or of the fewer samples
            at its end, and may remember what it has seen.
        shortest: hops; what is shorter and stands alone is no speech.
        longest_pause: hops; a longer pause is in no segment, a shorter one stays between words.
        margin: hops that are kept at either end of speech, so that no word starts at the edge of a segment; at most
            half of the longest pause.
    """

    start: Callable[[], Callable[[Waveform], Flags]]
    shortest: int
    longest_pause: int
    margin: int

    def mark(self, blocks: Iterable[Waveform]) -> Iterator[Marked]:
        """The samples of a stream with their flags; at most two chunks of it are held.

        Args:
            blocks: float32 mono 16 kHz, each [num_samples] of any length, which changes nothing in the flags.
        """
        marker = self.start()
        samples, flags = np.empty(0, np.float32), np.empty(0, bool)
        goes_on = False  # speech that was passed on already
        for chunk in _chunks(blocks):
            samples, flags = np.concatenate([samples, chunk]), np.concatenate([flags, marker(chunk)])
            settled = self._settle(flags, goes_on=goes_on)
            if settled:
                yield samples[: settled * HOP], flags[:settled]
                goes_on = bool(flags[settled - 1])
                samples, flags = samples[settled * HOP :], flags[settled:]
        if len(samples):
            yield samples, np.zeros_like(flags)

    def _settle(self, flags: Flags, *, goes_on: bool) -> int:
        """Unset what is too short to be speech; returns the number of hops before what may still become long enough."""
        for start, stop in runs(flags):
            if stop - start < self.shortest and not (goes_on and start == 0):
                if stop == len(flags):
                    return start
                flags[start:stop] = False
        return len(flags)


def _chunks(blocks: Iterable[Waveform]) -> Iterator[Waveform]:
    """The same samples in chunks of `CHUNK`, and the rest."""
    held = [np.empty(0, np.float32)]
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= CHUNK:
            buffer = np.concatenate(held)
            whole = count // CHUNK * CHUNK
            yield from buffer[:whole].reshape(-1, CHUNK)
            held, count = [buffer[whole:]], count - whole
    if count:
        yield np.concatenate(held)
