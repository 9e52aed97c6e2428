"""Recognises a stream segment by segment, in batches, and puts the answers together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.transcription.segmenting import segments
from speechxfer.transcription.silence import sounding_s
from speechxfer.transcription.transcript import Segment, Transcript

Recognise = Callable[[Sequence[Waveform]], list[Hypothesis]]
"""Answers a few float32 mono 16 kHz waveforms with one hypothesis each."""

_SHORTEST_WORD_S = 0.01

_Piece = tuple[float, Waveform]  # start in seconds, samples


def transcribe(
    blocks: Iterable[Waveform],
    recognise: Recognise,
    *,
    max_segment_s: float = 28.0,
    batch_s: float = 60.0,
    cost_s: Callable[[float], float] = float,
    source: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Transcript:
    """Transcribe a stream of any length; no more than a batch and a segment of it is held.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        recognise: called with one batch of segments at a time, in order.
        max_segment_s: no segment is longer than this.
        batch_s: no batch of several segments costs more, padding to its longest included.
        cost_s: what a segment of so many seconds costs, in seconds; itself, unless the recogniser pads it.
        source: kept in the transcript.
        progress: called after each batch and at the end with the seconds of the stream done so far.

    Raises:
        ConfigError: `max_segment_s` is below 1 s.
    """
    num_samples = 0

    def counted() -> Iterator[Waveform]:
        nonlocal num_samples
        for block in blocks:
            num_samples += len(block)
            yield block

    recognised: list[Segment] = []
    for batch in batches(segments(counted(), max_segment_s=max_segment_s), batch_s, cost_s):
        hypotheses = recognise([waveform for _, waveform in batch])
        placed = [_place(*pair) for pair in zip(batch, hypotheses, strict=True)]
        recognised += [segment for segment in placed if segment.text]
        if progress:
            progress(placed[-1].end)
    duration = num_samples / SAMPLE_RATE
    if progress:
        progress(duration)
    return Transcript(" ".join(segment.text for segment in recognised), tuple(recognised), duration, source)


def batches(pieces: Iterable[_Piece], batch_s: float, cost_s: Callable[[float], float]) -> Iterator[list[_Piece]]:
    """Segments in order, as many together as `batch_s` allows and at least one."""
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
    """A hypothesis as a segment, its times counted from the beginning of the stream.

    It lasts from the first to the last sound of the piece, and as long as its words.
    """
    offset_s, waveform = piece
    start_s, end_s = sounding_s(waveform)
    words = tuple(_inside(word, len(waveform) / SAMPLE_RATE, offset_s) for word in hypothesis.words)
    start = min([offset_s + start_s, *(word.start for word in words)])
    end = max([offset_s + end_s, *(word.end for word in words)])
    return Segment(start, end, hypothesis.text.strip(), words, hypothesis.confidence)


def _inside(word: Word, longest_s: float, offset_s: float) -> Word:
    """A word within its piece, which the model's last frame may outlast."""
    end_s = min(max(word.end, word.start + _SHORTEST_WORD_S, _SHORTEST_WORD_S), longest_s)
    start_s = min(max(word.start, 0.0), end_s - _SHORTEST_WORD_S)
    return replace(word, start=offset_s + start_s, end=offset_s + end_s)
