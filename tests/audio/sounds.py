"""Sounds in which every moment can be told from the others, and files of them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

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
    "wma": ("wmav2", "asf"),
}


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
    """Mono or stereo, with a second of pictures if wanted."""
    return encode_parts(path, [(0.0, samples)] if len(samples) else [], rate, video_s=1.0 if video else 0.0, **options)


def encode_parts(
    path: Path,
    parts: Iterable[tuple[float, np.ndarray]],
    rate: int,
    *,
    video_s: float = 0.0,
    video_start_s: float = 0.0,
    others: Iterable[np.ndarray] = (),
    **options: str,
) -> Path:
    """Parts of a sound that begin at given times, pictures, and other streams of sound that begin at 0."""
    codec, kind = PYAV[path.suffix[1:]]
    streams = [list(parts), *([(0.0, other)] for other in others)]
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV cannot write {path.suffix}")
    with av.open(str(path), "w", format=kind, options=options) as container:
        pictures = container.add_stream("mpeg4" if kind != "mpegts" else "mpeg2video", rate=25) if video_s else None
        made = []
        for stream_parts in streams:
            if stream_parts:
                stream = container.add_stream(codec, rate=rate)
                stream.layout = "mono" if stream_parts[0][1].ndim == 1 else "stereo"
                if codec.startswith("wma"):
                    stream.bit_rate = 64_000
                stream.codec_context.open()
                made.append((stream, stream_parts))
        packets = []
        if pictures:
            pictures.width = pictures.height = 16
            pictures.pix_fmt = "yuv420p"
            for index in range(round(25 * video_s)):
                picture = av.VideoFrame(16, 16, "yuv420p")
                picture.pts, picture.time_base = index + round(25 * video_start_s), Fraction(1, 25)
                packets += pictures.encode(picture)
            packets += pictures.encode(None)
        for stream, stream_parts in made:
            for start_s, samples in stream_parts:
                for frame in _frames(stream.codec_context, samples, rate, round(start_s * rate)):
                    packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _frames(context: av.AudioCodecContext, samples: np.ndarray, rate: int, at: int) -> Iterable[av.AudioFrame]:
    layout = "mono" if samples.ndim == 1 else "stereo"
    pcm = (samples * 32767).astype(np.int16).reshape(1, -1)
    whole = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
    whole.sample_rate, whole.pts = rate, 0
    resampler = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or 1024)
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        frame.pts, frame.time_base = at, Fraction(1, rate)
        at += frame.samples
        yield frame


def misplaced(excerpt: np.ndarray, expected: np.ndarray) -> tuple[int, float]:
    """By how many samples `excerpt` lies beside the middle of `expected`, and how unlike it is there."""
    margin = (len(expected) - len(excerpt)) // 2
    inner = excerpt[200:-200]  # resampling an excerpt cannot see what lies beyond its ends
    unlike = [float(np.abs(inner - expected[200 + at : 200 + at + len(inner)]).max()) for at in range(2 * margin + 1)]
    return int(np.argmin(unlike)) - margin, min(unlike)
