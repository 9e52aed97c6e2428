"""Transcribes a stream segment by segment, in batches, and joins the hypotheses to one transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.inference.segmenting import segments
from speechxfer.inference.silence import sounding_s
from speechxfer.inference.transcript import Segment, Transcript

Recognize = Callable[[Sequence[Waveform]], list[Hypothesis]]
"""Returns one hypothesis for each of a few float32 mono 16 kHz waveforms."""

_SHORTEST_WORD_S = 0.01

_Piece = tuple[float, Waveform]  # start in seconds, samples


def transcribe(
    blocks: Iterable[Waveform],
    recognize: Recognize,
    *,
    max_segment_s: float = 28.0,
    batch_s: float = 60.0,
    cost_s: Callable[[float], float] = float,
    source: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Transcript:
    """Transcribe a stream of any length; no more than a batch and a segment of it is in memory.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        recognize: called with one batch of segments at a time, in order.
        max_segment_s: no segment is longer than this.
        batch_s: most seconds computed for a batch of several segments, padding included.
        cost_s: seconds that are computed for a segment of so many seconds; more where the model pads it.
        source: the transcript's source.
        progress: called after each batch and at the end with the seconds of the stream done so far.

    Raises:
        ConfigError: `max_segment_s` is below 1 s.
    """
    stream = _Counted(blocks)
    found: list[Segment] = []
    for batch in batches(segments(stream, max_segment_s=max_segment_s), batch_s, cost_s):
        hypotheses = recognize([waveform for _, waveform in batch])
        placed = [_place(*pair) for pair in zip(batch, hypotheses, strict=True)]
        found += [segment for segment in placed if segment.text]
        if progress:
            progress(placed[-1].end)
    if progress:
        progress(stream.duration)
    return Transcript(" ".join(segment.text for segment in found), tuple(found), stream.duration, source)


class _Counted:
    """The blocks of a stream; `duration` is the seconds of those that were read."""

    def __init__(self, blocks: Iterable[Waveform]) -> None:
        self._blocks = blocks
        self.duration = 0.0

    def __iter__(self) -> Iterator[Waveform]:
        num_samples = 0
        for block in self._blocks:
            num_samples += len(block)
            self.duration = num_samples / SAMPLE_RATE
            yield block


def batches(pieces: Iterable[_Piece], batch_s: float, cost_s: Callable[[float], float]) -> Iterator[list[_Piece]]:
    """Batches of consecutive segments, each with as many as `batch_s` allows and at least one."""
    batch: list[_Piece] = []
    for piece in pieces:
        longest = max(len(waveform) for _, waveform in [*batch, piece]) / SAMPLE_RATE
        if batch and cost_s(longest) * (len(batch) + 1) > batch_s:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _place(piece: _Piece, hypothesis: Hypothesis) -> Segment:
    """A hypothesis as a segment, with times from the beginning of the stream.

    The segment lasts from the first to the last sound of the piece, and includes all its words.
    """
    offset_s, waveform = piece
    start_s, end_s = sounding_s(waveform)
    words = tuple(_inside(word, len(waveform) / SAMPLE_RATE, offset_s) for word in hypothesis.words)
    start = min([offset_s + start_s, *(word.start for word in words)])
    end = max([offset_s + end_s, *(word.end for word in words)])
    return Segment(start, end, hypothesis.text.strip(), words, hypothesis.confidence)


def _inside(word: Word, longest_s: float, offset_s: float) -> Word:
    """A word with its time limited to its piece; the model's last frame may end later."""
    end_s = min(max(word.end, word.start + _SHORTEST_WORD_S, _SHORTEST_WORD_S), longest_s)
    start_s = min(max(word.start, 0.0), end_s - _SHORTEST_WORD_S)
    return replace(word, start=offset_s + start_s, end=offset_s + end_s)
