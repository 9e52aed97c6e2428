"""From mono pieces at any rate to a stream at 16 kHz, in which what is missing between them is silence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from speechxfer.audio.pieces import CHUNK, SAMPLE_RATE, Piece, Waveform
from speechxfer.errors import AudioError

#: Full scale is 1. What is 40 dB above was scaled as integers are, and no recording.
LOUDEST = 100.0


def at_16_khz(
    pieces: Iterable[Piece], name: str, *, first_s: float = 0.0, most_silence_s: float = math.inf
) -> Iterator[Waveform]:
    """Check, resample and fill up mono pieces; at least one sample comes out.

    Args:
        pieces: [num_samples, 1] each, in order.
        name: in messages.
        first_s: what begins later than this has silence before it.
        most_silence_s: more silence than this between pieces is an error.

    Yields:
        float32 [num_samples], mono, 16 kHz.

    Raises:
        AudioError: no samples, some that are not finite or far beyond full scale, or too much silence between them.
    """
    stream: Resampler | None = None
    last: Piece | None = None
    written = 0
    for piece in _checked(pieces, name):
        if stream is None or not piece.follows(last):
            tail = stream.rest() if stream else np.empty(0, np.float32)
            yield tail
            written += len(tail)
            silent = max(0, round((piece.start / piece.rate - first_s) * SAMPLE_RATE) - written)
            most_silence_s -= silent / SAMPLE_RATE
            if most_silence_s < 0:
                remedy = "read it in blocks, or an excerpt of it"
                raise AudioError(f"{name}: pauses of more than an hour would have to be kept in memory; {remedy}.")
            yield from _silence(silent)
            written += silent
            stream = Resampler(piece.rate)
        last = piece
        found = stream.resample(piece.samples[:, 0])
        written += len(found)
        yield found
    tail = stream.rest() if stream else np.empty(0, np.float32)
    yield tail
    if not written + len(tail):
        raise AudioError(f"{name}: holds no samples; leave it out, or record it again.")


class Resampler:
    """A stream from one rate to 16 kHz; at 16 kHz samples stay as they are."""

    def __init__(self, rate: float) -> None:
        import soxr

        self._stream = (
            None
            if rate == SAMPLE_RATE
            else soxr.ResampleStream(rate, SAMPLE_RATE, num_channels=1, dtype="float32", quality="HQ")
        )

    def resample(self, samples: Waveform) -> Waveform:
        """What is ready."""
        found: Waveform = samples if self._stream is None else self._stream.resample_chunk(samples)
        return found

    def rest(self) -> Waveform:
        """What was held back; the stream ends here."""
        empty = np.empty(0, dtype=np.float32)
        found: Waveform = empty if self._stream is None else self._stream.resample_chunk(empty, last=True)
        return found


def _silence(count: int) -> Iterator[Waveform]:
    for at in range(0, count, CHUNK):
        yield np.zeros(min(CHUNK, count - at), np.float32)


def _checked(pieces: Iterable[Piece], name: str) -> Iterator[Piece]:
    rest = iter(pieces)
    for piece in rest:
        check(piece, name, rest)
        yield piece


def check(piece: Piece, name: str, later: Iterable[Piece] = ()) -> None:
    """Refuse a mono piece that is no sound; what follows it is read only to count what is wrong.

    Raises:
        AudioError: samples that are not finite or far beyond full scale.
    """
    samples = piece.samples
    peak = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
    if not peak < math.inf:  # also where it is NaN
        bad = ~np.isfinite(samples[:, 0])
        first_s = (piece.start + int(bad.argmax())) / piece.rate
        count = int(bad.sum()) + sum(int((~np.isfinite(one.samples)).sum()) for one in later)
        raise AudioError(
            f"{name}: {count} samples are NaN or infinite, the first at {first_s:.3f} s; "
            "finite numbers are wanted: export the file again, or leave it out."
        )
    if peak > LOUDEST:
        raise AudioError(f"{name}: {scaled_as_integers(peak)}.")


def scaled_as_integers(peak: float) -> str:
    """The message about floats far beyond 1."""
    reached = f"{peak:,.0f}" if peak < 1e12 else f"{peak:g}"
    return f"samples reach {reached}, but floats go from -1 to 1; divide by 32768 if they were 16-bit integers"
