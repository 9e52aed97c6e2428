"""Sound that is still coming in: chunks of any size become what a file with the same samples would be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speechxfer.audio import mixing
from speechxfer.audio.arrays import as_array, check_rate, check_type
from speechxfer.audio.pieces import Piece, Waveform, check_header, floats
from speechxfer.audio.resampling import Resampler, check
from speechxfer.errors import AudioError


class LiveSound:
    """Chunks of one rate and number of channels to float32 mono at 16 kHz.

    What comes out in all does not depend on the lengths of the chunks. Of several channels it comes after whole
    seconds, because they are mixed by the second (`mixing.mixed`); of one channel, chosen or alone, at once.
    """

    def __init__(self, sample_rate: float, *, channel: int | None = None, name: str = "<stream>") -> None:
        """The first chunk says how many channels there are.

        Args:
            sample_rate: in Hz.
            channel: take only this one, counted from 0; without it all are mixed.
            name: in messages.

        Raises:
            AudioError: a rate that no recording has.
        """
        check_rate(sample_rate, name)
        self._rate, self._channel, self._name = sample_rate, channel, name
        self._resampler = Resampler(sample_rate)
        self._mixer = mixing.Mixer()
        self._num_samples = 0
        self._unmixed: Waveform | None = None  # [n, channels], less than a second

    @property
    def _now_s(self) -> float:
        return self._num_samples / self._rate

    def feed(self, chunk: ArrayLike, sample_rate: float | None = None) -> Waveform:
        """The samples that a chunk completes, float32 [num_samples].

        Args:
            chunk: [num_samples] or [num_samples, channels]; integers of 8, 16 or 32 bits are scaled to [-1, 1).
            sample_rate: of this chunk, where the source says it; it must be the stream's.

        Raises:
            AudioError: another rate or number of channels than before, NaN, another shape or type.
        """
        if sample_rate is not None and sample_rate != self._rate:
            remedy = "finish this stream and open another"
            raise AudioError(f"{self._name}: the sample rate is {sample_rate:,} Hz at {self._now_s:.3f} s, after {self._rate:,} Hz; {remedy}.")  # fmt: skip  # noqa: E501
        array = as_array(chunk, self._name)
        if not array.size:
            return np.empty(0, np.float32)
        check_type(array, self._name)
        samples = floats(self._columns(array), self._name)
        piece = Piece(self._num_samples, self._rate, samples)
        self._num_samples = piece.stop
        return self._resampled(self._mono(piece))

    def rest(self) -> Waveform:
        """The samples that were held back; the sound ends here."""
        held = self._unmixed
        mono = [] if held is None or not len(held) else [self._mixer.mix(self._ending_now(held))]
        return np.concatenate([self._resampled(mono), self._resampler.rest()])

    def _columns(self, array: NDArray[Any]) -> NDArray[Any]:
        """[n, channels], with as many channels as before."""
        if array.ndim not in (1, 2):
            raise AudioError(f"{self._name}: a chunk of shape {array.shape}; [n] or [n, channels] is wanted.")
        array = array[:, None] if array.ndim == 1 else array
        channels = array.shape[1]
        if self._unmixed is None:
            check_header(self._name, self._rate, channels)
            self._unmixed = np.empty((0, channels), np.float32)
        if channels != self._unmixed.shape[1]:
            before = self._unmixed.shape[1]
            raise AudioError(f"{self._name}: a chunk with {channels} channels at {self._now_s:.3f} s, after chunks with {before}.")  # fmt: skip  # noqa: E501
        return array

    def _mono(self, piece: Piece) -> list[Piece]:
        """[n, 1] each."""
        channels = piece.samples.shape[1]
        if self._channel is not None:
            return list(mixing.channel([piece], self._channel, self._name, channels))
        if channels == 1 or self._unmixed is None:
            return [piece]
        held = np.concatenate([self._unmixed, piece.samples])
        window = round(mixing.WINDOW_S * self._rate)
        whole = len(held) // window * window
        unmixed = self._ending_now(held)
        self._unmixed = held[whole:]
        return [
            self._mixer.mix(Piece(unmixed.start + at, self._rate, held[at : at + window]))
            for at in range(0, whole, window)
        ]

    def _ending_now(self, samples: Waveform) -> Piece:
        return Piece(self._num_samples - len(samples), self._rate, samples)

    def _resampled(self, mono: list[Piece]) -> Waveform:
        found = [np.empty(0, np.float32)]
        for piece in mono:
            check(piece, self._name)
            found.append(self._resampler.resample(piece.samples[:, 0]))
        return np.concatenate(found)
