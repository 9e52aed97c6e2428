"""Sounds in which every moment can be distinguished from the others, and files of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from scripts.audio_files import Form, Track, mux
from speechxfer import audio

SOUNDFILE = {"wav": {}, "flac": {}, "ogg": {}, "mp3": {}, "opus": {"format": "OGG", "subtype": "OPUS"}}
#: Codec and container of other suffixes.
PYAV = {
    "m4a": ("aac", "mp4"),
    "mp4": ("aac", "mp4"),
    "webm": ("libopus", "webm"),
    "mka": ("flac", "matroska"),
    "mkv": ("pcm_s16le", "matroska"),
    "ts": ("mp2", "mpegts"),
    "aac": ("aac", "adts"),
    "amr": ("libopencore_amrnb", "amr"),
    "oga": ("flac", "ogg"),
    "wma": ("wmav2", "asf"),
}
SETTINGS = {"wmav2": {"bit_rate": "64000"}}


def chirp(seconds: float, rate: int, low_hz: float = 200, high_hz: float = 3000) -> np.ndarray:
    """No two moments of it sound alike, so an excerpt from the wrong place shows."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (low_hz * t + (high_hz - low_hz) * t**2 / (2 * seconds))
    return (0.5 * np.sin(phase)).astype(np.float32)


def tone(hz: float, seconds: float, rate: int = 16_000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float, rate: int = 16_000, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, round(seconds * rate)).astype(np.float32)


def peak_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * audio.SAMPLE_RATE / len(waveform))


def wav_bytes(samples: np.ndarray, rate: int = 16_000, **options: str) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=options.pop("format", "WAV"), **options)
    return file.getvalue()


def write(folder: Path, suffix: str, samples: np.ndarray, rate: int) -> Path:
    path = folder / f"sound.{suffix}"
    if suffix in PYAV:
        return encode(path, samples, rate)
    sf.write(path, samples, rate, **SOUNDFILE[suffix])
    return path


def rate_of(suffix: str) -> int:
    return {"amr": 8000, "mka": 48_000, "webm": 48_000, "opus": 48_000}.get(suffix, 44_100)


def encode(path: Path, samples: np.ndarray, rate: int, *, video: bool = False, **options: str) -> Path:
    """With a second of pictures if wanted."""
    parts = [(0.0, samples)] if len(samples) else []
    return encode_parts(path, parts, rate, pictures=(0.0, 1.0) if video else None, **options)


def encode_parts(
    path: Path,
    parts: Sequence[tuple[float, np.ndarray]],
    rate: int,
    *,
    pictures: tuple[float, float] | None = None,
    others: Sequence[tuple[str, np.ndarray]] = (),
    title: str = "",
    **options: str,
) -> Path:
    """Parts of a sound that begin at given times, pictures, and other streams by their languages."""
    codec, container = PYAV[path.suffix[1:]]
    form = Form(path.suffix[1:], container, codec, rate, options=options, settings=SETTINGS.get(codec, {}))
    tracks = [Track(parts)] if parts else []
    tracks += [Track([(0.0, other)], name) for name, other in others]
    try:
        return mux(path, form, tracks, pictures=pictures, title=title)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV cannot write {path.suffix}")


def misplaced(excerpt: np.ndarray, expected: np.ndarray) -> tuple[int, float]:
    """By how many samples `excerpt` lies beside the middle of `expected`, and how unlike it is there."""
    margin = (len(expected) - len(excerpt)) // 2
    inner = excerpt[200:-200]  # resampling an excerpt cannot see what lies beyond its ends
    unlike = [float(np.abs(inner - expected[200 + at : 200 + at + len(inner)]).max()) for at in range(2 * margin + 1)]
    return int(np.argmin(unlike)) - margin, min(unlike)
