"""Transcribes sound while it comes in: text that is final, and what is likely to come next.

Streaming is a policy over a model that knows nothing of streams. Segments are those of recordings (`segmenting`): each
is recognized when it has ended, which a pause says. What was said since is recognized again and again as it grows.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.audio.live import LiveSound
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.errors import ConfigError
from speechxfer.inference.segmenting import EMPTY, Cutter, Piece
from speechxfer.inference.stitching import Stitcher
from speechxfer.inference.transcribing import Recognize
from speechxfer.inference.transcript import Segment, text_of
from speechxfer.inference.voice_activity import SOUND, Detector
from speechxfer.inference.voice_activity.detector import CHUNK, Marked, Marking

#: Samples after which a stream looks again whether speech has begun or ended, 160 ms; a whole number of frames of any
#: detector, and a whole fraction of what it marks at once.
STEP = CHUNK // 12
#: The pause that ends a segment, in seconds: people hesitate for less.
PAUSE_S = 1.0
#: Partial results take no more than this fraction of the time, so that a stream does not fall behind.
_FRACTION = 0.5


@dataclass(frozen=True, slots=True)
class StreamResult:
    """A part of a stream's transcript.

    Attributes:
        text: what was said; empty where a partial result turned out to be no speech.
        start: in seconds from the beginning of the stream.
        end: in seconds.
        final: whether it will never change. Results that are final come in order; one that is not stands for all that
            follows the last of them, and the next result takes its place.
        words: with times from the beginning of the stream; empty where the model gives none.
        confidence: from 0 to 1; None where the model gives none.
    """

    text: str
    start: float
    end: float
    final: bool
    words: tuple[Word, ...] = ()
    confidence: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times rounded to milliseconds, confidences to four digits."""
        return {"final": self.final, **Segment(self.start, self.end, self.text, self.words, self.confidence).to_dict()}


_NOTHING = StreamResult("", 0.0, 0.0, False)


class Stream:
    """The transcript of one stream of sound, which is fed in chunks of any size; one thread feeds it.

    Final results do not depend on the sizes of the chunks. Memory does not grow.
    """

    def __init__(
        self,
        recognize: Recognize,
        sample_rate: float,
        *,
        channel: int | None = None,
        max_segment_s: float = 28.0,
        detector: Detector = SOUND,
        pause_s: float = PAUSE_S,
        partials: bool = True,
    ) -> None:
        """Nothing is recognized before the first chunk.

        Args:
            recognize: called with one segment at a time.
            sample_rate: of the chunks, in Hz.
            channel: take only this channel, counted from 0; without it all are mixed, second by second.
            max_segment_s: no segment is longer than this.
            detector: finds speech; nothing else is recognized.
            pause_s: a segment ends, and its text is final, after so many seconds without speech.
            partials: whether there are results that are not final.

        Raises:
            AudioError: a rate that no recording has.
            ConfigError: a segment or a pause that is too short.
        """
        self._recognize, self._with_partials = recognize, partials
        self._sound = LiveSound(sample_rate, channel=channel)
        self._waiting = np.empty(0, np.float32)  # samples at 16 kHz, less than a step
        self._marking = Marking(detector)
        self._following = self._marking.preview()
        self._cutter = Cutter(max_segment_s, detector, pause_s=pause_s)
        self._stitcher = Stitcher()
        self._last: tuple[float, float, Hypothesis] | None = None  # what was recognized last: from when to when
        self._partial = _NOTHING
        self._owed_s = 0.0  # time that recognizing took, and that is not made up for
        self._is_finished = False

    def feed(self, chunk: ArrayLike, sample_rate: float | None = None) -> list[StreamResult]:
        """The results of a chunk, if it brings some; of those that are not final, at most one, the last.

        Args:
            chunk: [num_samples] or [num_samples, channels], floats or integers of 8 to 32 bits.
            sample_rate: of this chunk, where its source says it; it must be the stream's.

        Raises:
            AudioError: another rate or number of channels than before, NaN, samples of another type.
            ConfigError: the stream is finished.
        """
        self._check_open()
        found = self._advance(self._sound.feed(chunk, sample_rate))
        return [*found, *self._partial_results()] if self._with_partials else found

    def finish(self) -> list[StreamResult]:
        """The last results, all final: of a word that is not complete, what there is.

        Raises:
            ConfigError: the stream is finished already.
        """
        self._check_open()
        self._is_finished = True
        found = self._advance(self._sound.rest())
        for marked in (self._marking.feed(self._waiting), self._marking.finish()):
            self._cutter.feed(marked)
        return [*found, *self._final_results(ended=True), *map(_final, self._stitcher.finish())]

    def results(self, chunks: Iterable[ArrayLike]) -> Iterator[StreamResult]:
        """All results of some chunks, after which the stream ends."""
        for chunk in chunks:
            yield from self.feed(chunk)
        yield from self.finish()

    def _check_open(self) -> None:
        if self._is_finished:
            raise ConfigError("the stream is finished; open another")

    def _advance(self, samples: Waveform) -> list[StreamResult]:
        """The final results of some samples at 16 kHz."""
        self._waiting = np.concatenate([self._waiting, samples])
        found: list[StreamResult] = []
        whole = len(self._waiting) // STEP * STEP
        for step in self._waiting[:whole].reshape(-1, STEP):
            self._owed_s = max(0.0, self._owed_s - _FRACTION * STEP / SAMPLE_RATE)
            self._cutter.feed(self._marking.feed(step))
            self._following = self._marking.preview()
            found += self._final_results(self._following)
        self._waiting = self._waiting[whole:]
        return found

    def _final_results(self, following: Marked = EMPTY, *, ended: bool = False) -> list[StreamResult]:
        """The results of segments that have ended."""
        found = [
            _final(segment)
            for piece in self._cutter.pieces(following, ended=ended)
            for segment in self._stitcher.add(piece, self._recognized(piece))
        ]
        self._partial = _NOTHING if found else self._partial
        return found

    def _partial_results(self) -> Iterator[StreamResult]:
        """What stands for all that is not final, if it has changed and there is time to recognize it."""
        piece = self._cutter.begun(self._following)
        if piece and self._owed_s:
            return
        likely = copy.copy(self._stitcher)
        segments = [*(likely.add(piece, self._recognized(piece)) if piece else ()), *likely.finish()]
        partial = _joined(segments) if segments else replace(self._partial, text="", words=())
        if partial.text != self._partial.text:
            self._partial = partial
            yield partial

    def _recognized(self, piece: Piece) -> Hypothesis:
        if not self._last or self._last[:2] != (piece.start, piece.end):
            begin = time.perf_counter()
            (hypothesis,) = self._recognize([piece.waveform])
            self._owed_s += time.perf_counter() - begin
            self._last = (piece.start, piece.end, hypothesis)
        return self._last[2]


def _final(segment: Segment) -> StreamResult:
    return StreamResult(segment.text, segment.start, segment.end, True, segment.words, segment.confidence)


def _joined(segments: Sequence[Segment]) -> StreamResult:
    """A partial result of one or more segments."""
    words = tuple(word for segment in segments for word in segment.words)
    text = text_of(segments)
    confidence = segments[0].confidence if len(segments) == 1 else None
    return StreamResult(text, segments[0].start, segments[-1].end, False, words, confidence)
