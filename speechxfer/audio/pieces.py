"""What readers of files give: pieces of sound with the time they begin at. Where one is missing, there is silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import AudioError

SAMPLE_RATE = 16_000
"""Samples per second of every waveform this package computes with, in Hz."""

Waveform = NDArray[np.float32]

#: Samples of all channels decoded at a time: what bounds the memory of a stream.
CHUNK = 1 << 18
#: Rates that sound is stored at, in Hz. What is beyond them is a damaged header, and costs memory without end.
RATES_HZ = (2_000, 1_000_000)
_MOST_CHANNELS = 64


class Piece(NamedTuple):
    """Some sound.

    Attributes:
        start: where it begins, in samples at `rate` from the beginning of the file.
        rate: in Hz.
        samples: [num_samples, channels], float32 but within decoders; none of them mark a time up to which there is
            silence.
    """

    start: int
    rate: float
    samples: NDArray[Any]

    @property
    def stop(self) -> int:
        """Where it ends, in samples."""
        return self.start + len(self.samples)

    def follows(self, other: Piece | None) -> bool:
        """Whether it goes on where another piece ends."""
        return other is not None and (other.stop, other.rate) == (self.start, self.rate)


class Reader(Protocol):
    """An open file.

    Attributes:
        name: in messages.
        rate, channels: of its first sound. Later sound may have others.
        promised_s: the length that its header states; None where it states none that can be relied on.
        packet_s: seconds of its longest packet so far, to which headers round.
    """

    name: str
    rate: int
    channels: int
    promised_s: float | None
    packet_s: float

    @property
    def lost_s(self) -> float:
        """Seconds of damaged sound that were passed over so far."""

    def length_s(self) -> float:
        """How long it is, in seconds, without decoding it all where that can be avoided."""

    def pieces(self, first_s: float, stop_s: float | None) -> Iterator[Piece]:
        """Its sound in order, at least what lies between two times in seconds; without `stop_s` to the end.

        Where there is silence at `stop_s` and sound after it, a piece without samples is the last.
        """


def check_header(name: str, rate: float, channels: int) -> None:
    """Raise AudioError for rates and numbers of channels that no recording has."""
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        wanted = f"{RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz are wanted: correct the header, or export the file again"
        raise AudioError(f"{name}: a sample rate of {rate:,} Hz; {wanted}.")
    if not 0 < channels <= _MOST_CHANNELS:
        wanted = f"1 to {_MOST_CHANNELS} are wanted: correct the header, or export the file again"
        raise AudioError(f"{name}: {channels} channels; {wanted}.")


def trimmed(pieces: Iterable[Piece], first_s: float, stop_s: float | None) -> Iterator[Piece]:
    """Only what lies between two times; where sound begins later than `stop_s`, a piece without samples there."""
    for start, rate, samples in pieces:
        first = max(0, round(first_s * rate) - start)
        if stop_s is None:
            last = len(samples)
        elif (last := round(stop_s * rate) - start) <= 0:
            yield Piece(start + last, rate, samples[:0])
            return
        if first < len(samples) or not len(samples):
            yield Piece(start + first, rate, samples[first:last])


def in_chunks(pieces: Iterable[Piece], name: str) -> Iterator[Piece]:
    """The same sound in pieces of about `CHUNK` samples, which cost less time than the packets of a decoder.

    Samples may be of any PCM type, and are float32 then.
    """
    held: list[Piece] = []
    count = 0
    for piece in pieces:
        if held and (count >= CHUNK or not (piece.follows(held[-1]) and _are_alike(piece, held[0]))):
            yield _floats(one(held), name)
            held, count = [], 0
        held.append(piece)
        count += piece.samples.size
    if held:
        yield _floats(one(held), name)


def _are_alike(first: Piece, second: Piece) -> bool:
    return first.samples.shape[1] == second.samples.shape[1] and first.samples.dtype == second.samples.dtype


def _floats(piece: Piece, name: str) -> Piece:
    return piece._replace(samples=floats(piece.samples, name))


def one(held: list[Piece]) -> Piece:
    """Pieces that follow each other as one."""
    return held[0] if len(held) == 1 else held[0]._replace(samples=np.concatenate([piece.samples for piece in held]))


def shifted(pieces: Iterable[Piece], seconds: float) -> Iterator[Piece]:
    """The same sound so many seconds later."""
    for start, rate, samples in pieces:
        yield Piece(start + round(seconds * rate), rate, samples)


def floats(samples: NDArray[Any], name: str) -> Waveform:
    """Samples of any PCM type as float32, integers scaled to [-1, 1)."""
    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind not in "iuf":
        raise AudioError(f"{name}: samples of type {samples.dtype}; real numbers are wanted.")
    # What overflows here and in mixing becomes infinite or NaN, and is reported as such.
    with np.errstate(over="ignore", invalid="ignore"):
        found = samples.astype(np.float32, copy=False)
        if kind == "f":
            return found
        scale = np.float32(2.0 ** (bits - 1))
        scaled: Waveform = (found - scale if kind == "u" else found) / scale
        return scaled
