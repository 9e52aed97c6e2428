"""Classifies a stream of any length: segment by segment, in batches; the probabilities are averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from speechxfer.audio import Waveform
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import AudioError
from speechxfer.inference.segmenting import batches, segments
from speechxfer.inference.silence import INAUDIBLE_DB

Classify = Callable[[Sequence[Waveform]], Sequence[Classification]]
"""Returns one classification for each of a few float32 mono 16 kHz waveforms."""


def classify(
    blocks: Iterable[Waveform],
    predict: Classify,
    *,
    max_segment_s: float = 28.0,
    batch_s: float = 60.0,
    cost_s: Callable[[float], float] = float,
    source: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Classification:
    """Classify a stream: the mean of its segments' probabilities, weighted by their lengths.

    A stream that fits into one segment is classified as it is, a longer one is split at pauses, and silence of more
    than 2 s is left out; no more than a batch and a segment is in memory.

    Args:
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        predict: called with one batch of segments at a time, in order.
        max_segment_s: no segment is longer than this.
        batch_s: most seconds computed for a batch of several segments, padding included.
        cost_s: seconds that are computed for a segment of so many seconds; more where the model pads it.
        source: what an error calls the stream.
        progress: called after each batch with the seconds of the stream done so far.

    Raises:
        AudioError: the stream is silent.
        ConfigError: `max_segment_s` is below 1 s.
    """
    found: list[tuple[int, Classification]] = []
    for batch in batches(segments(blocks, max_segment_s=max_segment_s, overlapping=False), batch_s, cost_s):
        waveforms = [piece.waveform for piece in batch]
        found += zip(map(len, waveforms), predict(waveforms), strict=True)
        if progress:
            progress(batch[-1].end)
    if not found:
        raise AudioError(f"{source or 'audio'}: is silent, below {INAUDIBLE_DB} dB of full scale; wanted sound")
    lengths = [length for length, _ in found]
    mean = np.average([item.probabilities for _, item in found], axis=0, weights=lengths)
    return replace(found[0][1], probabilities=tuple(mean.tolist()))
