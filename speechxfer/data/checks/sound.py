"""Checks of one recording by itself: measured in worker processes, compared with fixed limits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from speechxfer import audio
from speechxfer.audio.completeness import is_little
from speechxfer.audio.mixing import mixed
from speechxfer.audio.pieces import Piece
from speechxfer.audio.resampling import LOUDEST, scaled_as_integers
from speechxfer.errors import AudioError, TruncatedAudioError
from speechxfer.sources import AudioSource, FileSource

Samples = NDArray[np.float32]

#: Levels are relative to full scale. The limits were set on the corpora of scripts/bench/preflight.py.
_SILENT_PEAK = 1e-3
_CLIPPED_FRACTION = 1e-3
_CLIPPED_PEAK = 0.05
_OFFSET, _OFFSET_OF_RMS = 0.015, 0.1
_CHANNEL_DB, _UNRELATED = 40.0, 0.3
_WIDE_BAND_HZ, _BAND_LIMIT_HZ, _BAND_DB, _BAND_DB_QUIET = 16_000, 4_500.0, -62.0, -40.0
_QUANTIZATION = 2.0**-30 / 12  # power of 16-bit quantization noise
_FRAME, _ACTIVE_DB = 0.02, 30.0
_TOLERANCE_S = 0.1


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a worker gets: a recording, or a part of it."""

    source: AudioSource
    start: float
    duration: float | None
    reading: audio.Options = field(default_factory=audio.Options)


@dataclass(slots=True)
class Sound:
    """What a worker returns: duration and active speech in s, a digest, and (kind, what) of each fault."""

    duration_s: float = 0.0
    active_s: float = 0.0
    digest: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)


def measure(excerpt: Excerpt, quick: bool) -> Sound:
    """Check the header and, unless `quick`, decode the excerpt piece by piece and check every sample."""
    sound = Sound()

    def notify(notice: audio.Notice) -> None:
        if notice.kind not in dict(sound.faults):  # decoding repeats notices of the header
            sound.faults.append((notice.kind, notice.what))

    reading: audio.Options = {**excerpt.reading, "notify": notify}
    try:
        header = audio.info(excerpt.source, **reading)
        is_usable = _lengths(sound, excerpt, header.duration)
        if not quick and is_usable:
            _measure_samples(sound, excerpt, reading)
    except AudioError as error:
        sound.faults.append((_kind(error, excerpt.source), _without_name(error, excerpt.source)))
    if quick or not sound.digest:
        sound.digest = digest(
            f"{excerpt.source.key}\0{excerpt.start}\0{excerpt.duration}\0{excerpt.reading}".encode(errors="replace")
        )
    return sound


def digest(data: bytes) -> int:
    """A 64-bit digest; never 0, which means a missing value."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


def _kind(error: AudioError, source: AudioSource) -> str:
    if isinstance(source, FileSource) and not source.path.is_file():
        return "missing"
    return "truncated" if isinstance(error, TruncatedAudioError) else "unreadable"


def _without_name(error: AudioError, source: AudioSource) -> str:
    """The message without the file, which the manifest line names, and without the remedy."""
    return str(error).removeprefix(f"{source.name}: ").rpartition("; ")[0] or str(error)


def _lengths(sound: Sound, excerpt: Excerpt, length_s: float) -> bool:
    """Compare the excerpt with the length of the file; returns whether it is usable."""
    rest = length_s - excerpt.start
    wanted = rest if excerpt.duration is None else excerpt.duration
    sound.duration_s = min(wanted, rest)
    if rest > 0 and wanted <= rest + _TOLERANCE_S:
        return True
    end = "" if excerpt.duration is None else f" to {excerpt.start + excerpt.duration:.2f} s"
    what = f"the file is {length_s:.2f} s long, but the line wants it from {excerpt.start:.2f} s{end}"
    if rest > 0 and is_little(wanted - rest, wanted) and not excerpt.reading.get("strict"):
        sound.faults.append(("short", what))
        return True
    # If the header has no length, a truncated file only looks shorter.
    sound.duration_s = 0.0
    sound.faults.append(("truncated" if excerpt.start == 0 else "outside", what))
    return False


def _measure_samples(sound: Sound, excerpt: Excerpt, reading: audio.Options) -> None:
    frames, spectrum, content = [], _Spectrum(), hashlib.blake2b(digest_size=8)
    by_channels: defaultdict[int, _Sums] = defaultdict(_Sums)  # broadcasts may switch between mono and stereo
    for rate, piece in audio.as_stored(excerpt.source, start=excerpt.start, duration=excerpt.duration, **reading):
        if not np.isfinite(piece).all():
            sound.faults.append(("unreadable", "holds samples that are NaN or infinite"))
            return
        by_channels[piece.shape[1]].add(piece)
        if by_channels[piece.shape[1]].peak > LOUDEST:
            sound.faults.append(("unreadable", scaled_as_integers(by_channels[piece.shape[1]].peak)))
            return
        content.update(np.ascontiguousarray(piece).data)
        mono = np.concatenate([part.samples[:, 0] for part in mixed([Piece(0, rate, piece)])])
        frames.append(_powers(mono, round(rate * _FRAME)))
        if rate >= _WIDE_BAND_HZ:
            spectrum.add(mono, rate)
    sums = max(by_channels.values(), key=lambda one: one.count, default=_Sums())
    if not sums.count:
        sound.faults.append(("unreadable", "holds no samples"))
        return
    sound.digest = int.from_bytes(content.digest(), "little") or 1
    powers = np.concatenate(frames)
    sound.active_s = _active_s(powers)
    sound.faults += sums.faults() if sums.peak >= _SILENT_PEAK else [_silence(sums.peak)]
    if sums.peak >= _SILENT_PEAK:
        sound.faults += spectrum.faults()


def _silence(peak: float) -> tuple[str, str]:
    level = f"its loudest sample is at {20 * np.log10(peak):.0f} dB of full scale" if peak else "every sample is zero"
    return "silent", f"silent: {level}"


def _powers(mono: Samples, size: int) -> Samples:
    """Mean squares of frames; an incomplete last frame is dropped, unless it is the only one."""
    if len(mono) < size:
        return np.array([np.square(mono).mean() if len(mono) else 0.0], dtype=np.float32)
    whole = mono[: len(mono) // size * size].reshape(-1, size)
    powers: Samples = np.einsum("ij,ij->i", whole, whole) / np.float32(size)
    return powers


def _active_s(powers: Samples) -> float:
    """Seconds that are not much quieter than the loudest, because pauses must not count for the speech rate."""
    loud = float(np.quantile(powers, 0.95))
    return float(np.count_nonzero(powers > loud * 10 ** (-_ACTIVE_DB / 10))) * _FRAME


class _Sums:
    """Statistics over all pieces by channel, and the largest fraction of clipped samples of a piece."""

    def __init__(self) -> None:
        self.count = 0
        self.peak = 0.0
        self._clipped = 0.0
        self._total: NDArray[np.float64] = np.zeros(1)
        self._products: NDArray[np.float64] = np.zeros((1, 1))

    def add(self, piece: Samples) -> None:
        self.count += len(piece)
        self.peak = max(self.peak, float(piece.max(initial=0.0)), -float(piece.min(initial=0.0)))
        self._total = self._total + piece.sum(axis=0, dtype=np.float64)
        self._products = self._products + (piece.T @ piece).astype(np.float64)
        self._clipped = max(self._clipped, *(_clipped_fraction(channel) for channel in piece.T))

    def faults(self) -> Iterator[tuple[str, str]]:
        if self._clipped > _CLIPPED_FRACTION:
            yield "clipped", f"clipped: {self._clipped:.1%} of the samples are cut off at the same level"
        mean = self._total / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-20))
        worst = int(np.abs(mean).argmax())
        if abs(mean[worst]) > max(_OFFSET, _OFFSET_OF_RMS * deviation[worst]):
            yield "offset", f"shifted: the samples' mean is {mean[worst]:+.3f} of full scale; 0 is wanted"
        loud = np.flatnonzero(deviation > deviation.max() * 10 ** (-_CHANNEL_DB / 20))
        if len(loud) > 1:
            # Mixing inverts a channel of opposite polarity and ignores a silent one.
            first, second = loud[:2]
            correlation = abs(float(covariance[first, second] / (deviation[first] * deviation[second])))
            if correlation < _UNRELATED:
                seen = f"(correlation {correlation:.2f}), which is mixed"
                yield "channel", f"channels {first} and {second} hold different sound {seen}"


def _clipped_fraction(channel: Samples) -> float:
    """Fraction of samples at the maximum level, if they outnumber those slightly below it."""
    fractions = [0.0]
    for side in (channel, -channel):
        peak = float(side.max(initial=0.0))
        if peak < _CLIPPED_PEAK:
            continue
        top = int(np.count_nonzero(side >= 0.99 * peak))
        below = int(np.count_nonzero(side >= 0.94 * peak)) - top
        if top >= 10 and top > 2 * below:
            fractions.append(top / len(channel))
    return max(fractions)


class _Spectrum:
    """Power below and above the upper limit of the telephone band."""

    _SIZE = 1024

    def __init__(self) -> None:
        self._low = self._high = self._rounding = 0.0
        self._window = np.hanning(self._SIZE).astype(np.float32)

    def add(self, mono: Samples, rate: int) -> None:
        if len(mono) < self._SIZE:
            return
        whole = mono[: len(mono) // self._SIZE * self._SIZE].reshape(-1, self._SIZE)
        power = np.square(np.abs(np.fft.rfft(whole * self._window, axis=1))).sum(axis=0, dtype=np.float64)
        hz = np.arange(len(power)) * rate / self._SIZE
        high = (hz >= _BAND_LIMIT_HZ) & (hz < 0.98 * _WIDE_BAND_HZ / 2)
        self._low += float(power[(hz > 100) & (hz < _BAND_LIMIT_HZ)].sum())
        self._high += float(power[high].sum())
        self._rounding += float(len(whole) * high.sum() * np.square(self._window).sum() * _QUANTIZATION)

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self._low:
            return
        level = 10 * np.log10(max(self._high / self._low, 1e-20))
        if level < _BAND_DB or (level < _BAND_DB_QUIET and self._high < 2 * self._rounding):
            what = f"what is above {_BAND_LIMIT_HZ / 1000:g} kHz is {-level:.0f} dB below the rest"
            yield "narrow-band", f"upsampled: {what}, though its sample rate has room for more"
