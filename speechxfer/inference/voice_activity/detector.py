"""The interface of voice activity detectors: samples in, and of each 10 ms of them whether it may be speech."""

from __future__ import annotations

import copy
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
            at its end, and may remember what it has seen, in attributes that it replaces and does not change.
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
        marking = Marking(self)
        for chunk in _chunks(blocks):
            yield marking.feed(chunk)
        yield marking.finish()


class Marking:
    """A detector on one stream, whose samples are fed in order; at most two chunks of it are held."""

    def __init__(self, detector: Detector) -> None:
        self._marker, self._shortest = detector.start(), detector.shortest
        self._samples, self._flags = np.empty(0, np.float32), np.empty(0, bool)  # flags of whole chunks
        self._goes_on = False  # speech that was passed on already

    def feed(self, samples: Waveform) -> Marked:
        """What is settled by these samples: float32 mono 16 kHz, at most as many as make a chunk whole."""
        self._samples = np.concatenate([self._samples, samples])
        if len(self._samples) < len(self._flags) * HOP + CHUNK:
            return self._samples[:0], self._flags[:0]
        flags = self._marked(self._marker)
        settled = self._settle(flags)
        found = self._samples[: settled * HOP], flags[:settled]
        if settled:
            self._goes_on = bool(flags[settled - 1])
        self._samples, self._flags = self._samples[settled * HOP :], flags[settled:]
        return found

    def preview(self) -> Marked:
        """What would be settled if the chunk ended here; it may be settled otherwise when more has come."""
        flags = self._marked(copy.copy(self._marker))
        settled = self._settle(flags)
        return self._samples[: settled * HOP], flags[:settled]

    def finish(self) -> Marked:
        """The rest; the stream ends here."""
        flags = self._marked(self._marker)
        flags[self._settle(flags) :] = False
        return self._samples, flags

    def _marked(self, marker: Callable[[Waveform], Flags]) -> Flags:
        """The flags of all samples that are held."""
        unmarked = self._samples[len(self._flags) * HOP :]
        return np.concatenate([self._flags, marker(unmarked) if len(unmarked) else self._flags[:0]])

    def _settle(self, flags: Flags) -> int:
        """Unset what is too short to be speech; returns the number of hops before what may still become long enough."""
        for start, stop in runs(flags):
            if stop - start < self._shortest and not (self._goes_on and start == 0):
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
