"""From several channels to one, such that sound in any of them is not averaged away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np

from speechxfer.audio.pieces import Piece, Waveform, one
from speechxfer.errors import AudioError

#: Seconds over which the weights of channels stay the same.
WINDOW_S = 1.0
#: Seconds over which they change to those of the next window.
RAMP_S = 0.01
#: A channel that is quieter than this (-70 dB of full scale, root mean square without its offset) counts the less.
_SILENT = 3e-4
#: A channel is another upside down where their correlation is below this: their average would be silence.
_OPPOSED = -0.5


def channel(pieces: Iterable[Piece], number: int, name: str, channels: int) -> Iterator[Piece]:
    """One channel of each piece, counted from 0; a piece of one channel is taken as it is.

    Args:
        pieces: [num_samples, channels] each; the channels may change from one to the next.
        number: of the channel.
        name: in messages.
        channels: of the file, as it begins.

    Raises:
        AudioError: there is no such channel.
    """
    for piece in pieces:
        there = piece.samples.shape[1]
        if not 0 <= number < max(channels, there) or number >= there > 1:
            counted = "1 channel, number 0" if there == 1 else f"{there} channels, numbers 0 to {there - 1}"
            raise AudioError(f"{name}: channel {number} is wanted; the file has {counted}.")
        yield piece._replace(samples=piece.samples[:, number : number + 1] if there > 1 else piece.samples)


def widened(first_s: float, stop_s: float | None) -> tuple[float, float | None]:
    """What has to be read for an excerpt to be mixed as it is in the whole file: all of its windows."""
    first = math.floor((first_s - RAMP_S) / WINDOW_S) * WINDOW_S
    return max(0.0, first), None if stop_s is None else math.ceil(stop_s / WINDOW_S) * WINDOW_S


def mixed(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """[n, channels] to [n, 1]: the mean of the channels, in which

    - a channel that is silent, or a constant, does not count: one voice in six channels keeps its level;
    - a channel that is the others upside down (a balanced line on a stereo input) is turned first.

    Both are decided for each second of the file by itself, counted from the beginning of the file, so that memory stays
    flat and an excerpt sounds as in the whole.
    """
    mixer, run = Mixer(), 0
    for (now, _), group in groupby(_in_windows(pieces), key=itemgetter(0)):
        if now != run:
            mixer, run = Mixer(), now
        yield mixer.mix(one([piece for _, piece in group]))


class Mixer:
    """Mixes the windows of one run, which are given in order."""

    def __init__(self) -> None:
        self._gains: Waveform | None = None

    def mix(self, window: Piece) -> Piece:
        """[n, channels] to [n, 1]."""
        before, self._gains = self._gains, _gains(window.samples)
        ramp = round(RAMP_S * window.rate)
        return window._replace(samples=_weighted(window.samples, self._gains, before, ramp))


def _weighted(samples: Waveform, gains: Waveform, before: Waveform | None, ramp: int) -> Waveform:
    """[n, channels] to [n, 1], over so many samples on the way from other gains."""
    if samples.shape[1] == 1:
        return samples
    with np.errstate(over="ignore", invalid="ignore"):
        mono: Waveform = samples @ gains
        if before is not None and not np.array_equal(before, gains):
            fading = np.linspace(1, 0, ramp, endpoint=False, dtype=np.float32)[: len(mono)]
            mono[: len(fading)] += fading * (samples[: len(fading)] @ (before - gains))
    return mono[:, None]


def _in_windows(pieces: Iterable[Piece]) -> Iterator[tuple[tuple[int, int], Piece]]:
    """Pieces that lie in one window each, with its number and that of the run that it belongs to.

    A run ends where there is silence between pieces, or where the rate or the channels change. Sound of one channel
    needs no windows: each piece is a run of its own.
    """
    run, last = 0, None
    for piece in pieces:
        channels = piece.samples.shape[1]
        goes_on = last is not None and piece.follows(last) and 1 < channels == last.samples.shape[1]
        run, last = run + (not goes_on), piece
        size = round(WINDOW_S * piece.rate)
        bounds = [0] if channels == 1 else [0, *range(size - piece.start % size, len(piece.samples), size)]
        for at, end in zip(bounds, [*bounds[1:], len(piece.samples)], strict=True):
            cut = Piece(piece.start + at, piece.rate, piece.samples[at:end])
            yield (run, cut.start // size), cut


def _gains(samples: Waveform) -> Waveform:
    """What each channel of a window is multiplied by; their absolute values add up to 1."""
    count = samples.shape[1]
    if count == 1 or not len(samples):
        return np.full(count, 1 / count, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        centered = samples - samples.mean(axis=0, dtype=np.float64).astype(np.float32)
        covariance = (centered.T @ centered).astype(np.float64) / len(samples)
        levels = np.sqrt(np.diag(covariance))
    if not np.isfinite(covariance).all() or not levels.any():
        return np.full(count, 1 / count, np.float32)
    weights = np.minimum(levels / _SILENT, 1.0)
    for number in range(1, count):
        before = np.where(np.arange(count) < number, weights, 0.0)
        mix, own = before @ covariance @ before, covariance[number, number]
        if covariance[number] @ before < _OPPOSED * math.sqrt(mix * own):
            weights[number] *= -1
    gains: Waveform = (weights / np.abs(weights).sum()).astype(np.float32)
    return gains
