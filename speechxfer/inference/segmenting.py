"""Splits a stream of samples at pauses into segments that a model can take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.errors import ConfigError
from speechxfer.inference.silence import HOP, audible, energies_db, runs
from speechxfer.inference.voice_activity import SOUND, Detector
from speechxfer.inference.voice_activity.detector import Flags, Marked

# In hops of 10 ms.
_SHORTEST_PAUSE = 10  # stop consonants close for less
_PAUSE_OF_ONE = 200  # a detector may miss a soft word, which costs most in a short recording
_OVERLAP = 400  # of two segments between which there is no pause: a few words, which are found in both

EMPTY: Marked = (np.empty(0, np.float32), np.empty(0, bool))

_SMALLEST_RANGE_DB = 6.0  # between floor and level; steady sound varies by less, and has no pauses


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of a stream.

    Attributes:
        start: in seconds.
        waveform: float32 [num_samples].
        is_continued: whether the next segment begins before this one ends, because there was no pause between them.
    """

    start: float
    waveform: Waveform
    is_continued: bool = False

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.waveform) / SAMPLE_RATE

    @property
    def end(self) -> float:
        """In seconds."""
        return self.start + self.duration


def segments(
    blocks: Iterable[Waveform], *, max_segment_s: float, detector: Detector = SOUND, overlapping: bool = True
) -> Iterator[Piece]:
    """Cut a stream into segments of at most `max_segment_s`, in order.

    What is no speech (`detector`) for longer than the detector's longest pause is left out wherever it stands, except
    for a margin beside speech, and so is any beside a cut. What fits into one segment and has no such stretch of more
    than 2 s is passed on as it is, and so is sound shorter than such a stretch.

    Otherwise each cut is sought in the second half of the next `max_segment_s`, from the energies of 20 ms frames every
    10 ms. Their 10th percentile is the noise floor and their 90th the speech level; a pause is a run of at least 100 ms
    below floor + 1/3 of the way to the level, in dB. The cut falls in the middle of the pause with the largest area
    under that threshold, which weighs length and depth; without one, in the longest stretch of at least 100 ms that is
    no speech. Where there is no pause either, two segments overlap by 4 s, or a quarter of a segment, or the cut falls
    in the quietest frame.

    The result does not depend on the lengths of the blocks; little more than `max_segment_s` and one block are held.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        max_segment_s: the longest segment in seconds, at least 1.
        detector: says what is speech.
        overlapping: whether segments between which there is no pause overlap.

    Raises:
        ConfigError: `max_segment_s` is below 1 s or not finite.
    """
    return _cut_up(Cutter(max_segment_s, detector, overlapping=overlapping), detector.mark(blocks))


def _cut_up(cutter: Cutter, stream: Iterable[Marked]) -> Iterator[Piece]:
    for marked in stream:
        cutter.feed(marked)
        yield from cutter.pieces()
    yield from cutter.pieces(ended=True)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a window begins with, in hops: a segment, if it does, and where the next window begins."""

    done: int
    stop: int = 0  # of the segment, which begins with the window

    @property
    def is_continued(self) -> bool:
        return self.done < self.stop


class Cutter:
    """Cuts one stream, which is fed in order."""

    def __init__(
        self, max_segment_s: float, detector: Detector, *, overlapping: bool = True, live: bool = False
    ) -> None:
        """With a stream that is `live`, a segment ends as soon as a pause after it is long enough.

        Raises:
            ConfigError: `max_segment_s` is below 1 s or not finite.
        """
        if not 1 <= max_segment_s < math.inf:
            raise ConfigError(f"max_segment_s is {max_segment_s}; wanted a finite number of seconds, at least 1")
        self._limit = int(max_segment_s * SAMPLE_RATE) // HOP
        self._overlapping, self._live = overlapping, live
        self._longest_pause, self._margin = detector.longest_pause, detector.margin
        self._samples, self._flags = np.empty(0, np.float32), np.empty(0, bool)
        self._position = 0  # of what is next, in hops
        self._done = 0  # hops of what is held, or of more, that were passed on

    def feed(self, marked: Marked) -> None:
        """Add what follows."""
        self._samples, self._flags = _joined((self._samples, self._flags), marked)
        self._pass_on(0)

    def pieces(self, following: Marked = EMPTY, *, ended: bool = False) -> Iterator[Piece]:
        """The segments that what follows cannot change; `following` is used as well, but not kept."""
        samples, flags = self._rest(following)
        while len(flags) and (part := self._next(samples, flags, ended=ended)):
            if part.stop:
                yield Piece(self._position * HOP / SAMPLE_RATE, samples[: part.stop * HOP], part.is_continued)
            self._position += part.done
            self._pass_on(part.done)
            samples, flags = self._rest(following)

    def begun(self, following: Marked) -> Piece | None:
        """The segment that has begun and not ended, as far as there is speech in it."""
        samples, flags = self._rest(following)
        if not flags.any():
            return None
        stop = int(np.flatnonzero(flags)[-1]) + 1 + self._margin
        return Piece(self._position * HOP / SAMPLE_RATE, samples[: stop * HOP])

    def _rest(self, following: Marked) -> Marked:
        """What was not passed on, with what follows."""
        samples, flags = _joined((self._samples, self._flags), following)
        return samples[self._done * HOP :], flags[self._done :]

    def _pass_on(self, done: int) -> None:
        self._done += done
        held = min(self._done, len(self._flags))
        self._samples, self._flags = self._samples[held * HOP :], self._flags[held:]
        self._done -= held

    def _next(self, samples: Waveform, flags: Flags, *, ended: bool) -> _Part | None:
        """What a window begins with; None where that depends on what follows."""
        is_full = len(flags) > self._limit
        is_last = ended and not is_full
        if not (is_full or is_last or self._live):
            return None
        flags = flags[: self._limit]
        size, speech = len(flags), runs(flags)
        may_be_whole = not self._position and not is_full
        longest_lead = max(self._longest_pause, _PAUSE_OF_ONE) if may_be_whole else self._margin
        longest_pause = longest_lead if may_be_whole and is_last else self._longest_pause
        if not speech:
            if may_be_whole and is_last and size <= self._longest_pause and audible(samples).any():
                return _Part(size, size)
            return _Part(size) if is_last else _Part(size - self._margin) if size > longest_lead else None
        start = speech[0][0]
        if start > longest_lead:
            return _Part(start - self._margin)
        stops, starts = [stop for _, stop in speech], [*(start for start, _ in speech[1:]), size]
        for stop, following in zip(stops, starts, strict=True):
            if following - stop > longest_pause:
                at_the_end = is_last and following == size
                return _Part(size if at_the_end else following - self._margin, stop + self._margin)
        return _Part(size, size) if is_last else self._cut(samples, flags) if is_full else None

    def _cut(self, buffer: Waveform, flags: Flags) -> _Part:
        """Divides a window in its second half, at a pause or with an overlap."""
        size, first = len(flags), len(flags) // 2
        energies = energies_db(buffer[first * HOP : size * HOP])
        pause = _best_pause(energies) or _longest_run(~flags[first:])
        if pause is None and self._overlapping:
            return _Part(size - min(_OVERLAP, size // 4), size)
        cut = first + (1 + int(energies.argmin()) if pause is None else pause)
        speech_end = int(np.flatnonzero(flags[:cut])[-1]) + 1
        return _Part(cut, min(cut, speech_end + self._margin))


def _joined(first: Marked, second: Marked) -> Marked:
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _longest_run(flags: Flags) -> int | None:
    """The middle of the longest run of at least 100 ms, of equals the last: fewer segments."""
    found = [(stop - start, (start + stop) // 2) for start, stop in runs(flags) if stop - start >= _SHORTEST_PAUSE]
    return max(found)[1] if found else None


def _best_pause(energies: NDArray[np.float64]) -> int | None:
    """The middle of the best pause, in hops from the beginning of the first frame; None where there is none."""
    floor, level = np.percentile(energies, (10, 90))
    if level - floor < _SMALLEST_RANGE_DB:
        return None
    threshold = floor + (level - floor) / 3
    # Below the floor depth does not count: 30 ms of digital silence are no better a place than a long breath.
    depths = np.clip(threshold - energies, 0, threshold - floor)
    pauses = [(start, stop) for start, stop in runs(depths > 0) if stop - start >= _SHORTEST_PAUSE]
    if not pauses:
        return None
    start, stop = max(reversed(pauses), key=lambda pause: depths[slice(*pause)].sum())
    return 1 + (start + stop) // 2


def batches(pieces: Iterable[Piece], batch_s: float, cost_s: Callable[[float], float]) -> Iterator[list[Piece]]:
    """Batches of consecutive segments, each with as many as `batch_s` allows and at least one."""
    batch: list[Piece] = []
    for piece in pieces:
        longest = max(one.duration for one in [*batch, piece])
        if batch and cost_s(longest) * (len(batch) + 1) > batch_s:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch
