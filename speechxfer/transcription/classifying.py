"""Which class a stream of any length is of: classified segment by segment, in batches, and averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import AudioError
from speechxfer.transcription.segmenting import segments
from speechxfer.transcription.silence import INAUDIBLE_DB
from speechxfer.transcription.stitching import batches

Tell = Callable[[Sequence[Waveform]], Sequence[Classification]]
"""Answers a few float32 mono 16 kHz waveforms with one classification each."""


def classify(
    blocks: Iterable[Waveform],
    tell: Tell,
    *,
    max_segment_s: float = 28.0,
    batch_s: float = 60.0,
    cost_s: Callable[[float], float] = float,
    source: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Classification:
    """Classify a stream: the mean probabilities of its segments, each weighed by its length.

    What fits into one segment is classified as it is, longer streams are cut at pauses, and silence of more than 2 s is
    left out; no more than a batch and a segment is held.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        tell: called with one batch of segments at a time, in order.
        max_segment_s: no segment is longer than this.
        batch_s: no batch of several segments costs more, padding to its longest included.
        cost_s: what a segment of so many seconds costs, in seconds; itself, unless `tell` pads it.
        source: named in an error.
        progress: called after each batch with the seconds of the stream done so far.

    Raises:
        AudioError: the stream is silent.
        ConfigError: `max_segment_s` is below 1 s.
    """
    found: list[tuple[int, Classification]] = []
    for batch in batches(segments(blocks, max_segment_s=max_segment_s), batch_s, cost_s):
        waveforms = [waveform for _, waveform in batch]
        found += zip(map(len, waveforms), tell(waveforms), strict=True)
        if progress:
            progress(batch[-1][0] + len(waveforms[-1]) / SAMPLE_RATE)
    if not found:
        raise AudioError(f"{source or 'audio'}: is silent, below {INAUDIBLE_DB} dB of full scale; wanted sound")
    lengths = [length for length, _ in found]
    mean = np.average([item.probabilities for _, item in found], axis=0, weights=lengths)
    return replace(found[0][1], probabilities=tuple(mean.tolist()))
