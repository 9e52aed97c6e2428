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
        self, max_segment_s: float, detector: Detector, *, overlapping: bool = True, pause_s: float | None = None
    ) -> None:
        """A stream that goes on while it is cut has a `pause_s`: after so many seconds without speech a segment ends.

        Raises:
            ConfigError: `max_segment_s` is below 1 s, `pause_s` below 0.1 s, or one of them not finite.
        """
        if not 1 <= max_segment_s < math.inf:
            raise ConfigError(f"max_segment_s is {max_segment_s}; wanted a finite number of seconds, at least 1")
        if pause_s is not None and not 0.1 <= pause_s < math.inf:
            raise ConfigError(f"pause_s is {pause_s}; wanted a finite number of seconds, at least 0.1")
        self._limit = int(max_segment_s * SAMPLE_RATE) // HOP
        self._overlapping, self._is_live = overlapping, pause_s is not None
        self._detector = detector
        self._pause = detector.longest_pause if pause_s is None else int(pause_s * SAMPLE_RATE) // HOP
        self._margin = min(detector.margin, self._pause // 2)
        self._samples, self._flags = np.empty(0, np.float32), np.empty(0, bool)
        self._position = 0  # of what is held, in hops
        self._done = 0  # hops from there that were passed on or left out; what is held may not reach so far

    def feed(self, marked: Marked) -> None:
        """Add what follows."""
        self._samples, self._flags = _joined((self._samples, self._flags), marked)

    def pieces(self, following: Marked = EMPTY, *, ended: bool = False) -> Iterator[Piece]:
        """The segments that what follows cannot change.

        Args:
            following: is used as well, but not kept: it will be fed, and flagged otherwise, perhaps.
            ended: whether there is no more.
        """
        samples, flags = _joined((self._samples, self._flags), following)
        done = self._done
        while done < len(flags) and (part := self._next(samples[done * HOP :], flags[done:], done, ended=ended)):
            if part.stop:
                yield self._piece(samples, done, done + part.stop, is_continued=part.is_continued)
            done += part.done
            if part.stop or done + self._margin <= len(self._flags):
                self._done = done
        self._let_go()

    def begun(self, following: Marked) -> Piece | None:
        """The segment that has begun and not ended, as far as there is speech in it."""
        samples, flags = _joined((self._samples, self._flags), following)
        speech = np.flatnonzero(flags[self._done :]) + self._done
        if not speech.size:
            return None
        first, last = int(speech[0]), int(speech[-1])
        start = self._done if first - self._done <= self._longest_lead(self._done) else first - self._margin
        return self._piece(samples, start, last + 1 + self._margin)

    def _piece(self, samples: Waveform, start: int, stop: int, *, is_continued: bool = False) -> Piece:
        """From where to where is in hops of what is held."""
        return Piece((self._position + start) * HOP / SAMPLE_RATE, samples[start * HOP : stop * HOP], is_continued)

    def _let_go(self) -> None:
        """Hold no more than what is to come."""
        held = min(self._done, len(self._flags))
        self._samples, self._flags = self._samples[held * HOP :], self._flags[held:]
        self._position, self._done = self._position + held, self._done - held

    def _longest_lead(self, done: int) -> int:
        """Of what is no speech before a segment, in hops; a recording that is a single segment begins with it."""
        is_first = self._position + done == 0
        return max(self._detector.longest_pause, _PAUSE_OF_ONE) if is_first else self._margin

    def _next(self, samples: Waveform, flags: Flags, done: int, *, ended: bool) -> _Part | None:
        """What a window begins with, after what is done; None where that depends on what follows."""
        is_full = len(flags) > self._limit
        is_last = ended and not is_full
        if not (is_full or is_last or self._is_live):
            return None
        flags = flags[: self._limit]
        size, speech = len(flags), runs(flags)
        may_be_whole = self._position + done == 0 and not is_full
        longest_lead = self._longest_lead(done) if may_be_whole else self._margin
        longest_pause = longest_lead if may_be_whole and is_last else self._pause
        if not speech:
            if may_be_whole and is_last and size <= self._detector.longest_pause and audible(samples).any():
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
