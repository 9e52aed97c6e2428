"""Audio files of all kinds, written by PyAV and libsndfile: for the table of formats, the fuzzer and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

Samples = NDArray[np.float32]

#: libsndfile's encoder of Vorbis overflows its stack when it is given much at once.
_AT_ONCE = 20_000
_PICTURES_PER_S = 25
_PICTURE_CODEC = {"mpegts": "mpeg2video"}


@dataclass(frozen=True)
class Form:
    """A container with a codec in it.

    Attributes:
        suffix: of the file.
        container: FFmpeg's name of it, or libsndfile's in upper case.
        codec: FFmpeg's encoder, or libsndfile's subtype.
        rate: in Hz.
        channels: 1 or 2.
        options: of the container, or of libsndfile.
        settings: of the encoder; "bit_rate" in bit/s for one.
    """

    suffix: str
    container: str
    codec: str
    rate: int = 16_000
    channels: int = 1
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def by_libsndfile(self) -> bool:
        """Who writes it."""
        return self.container.isupper()

    def __str__(self) -> str:
        settings = "".join(f", {name} {value}" for name, value in {**self.options, **self.settings}.items())
        return f"{self.container} / {self.codec}{settings}"


def speech_like(seconds: float, rate: int, seed: int = 0) -> Samples:
    """Noise below 1.5 kHz in syllables, in which no two moments sound alike."""
    time = np.arange(round(seconds * rate)) / rate
    window = np.hanning(round(rate / 800))
    smooth = np.convolve(np.random.default_rng(seed).normal(size=len(time)), window, "same")
    loudness = 0.2 / smooth.std() * (0.2 + np.abs(np.sin(4 * np.pi * time)))
    samples: Samples = (loudness * smooth).clip(-1, 1).astype(np.float32)
    return samples


def write(path: Path, form: Form, samples: Samples) -> Path:
    """Write mono samples, or [num_samples, channels], in a form.

    Raises:
        Exception: whatever the library raises that has no such encoder.
    """
    if form.channels > 1 and samples.ndim == 1:
        samples = np.stack([samples] * form.channels, axis=1)
    if not form.by_libsndfile:
        return mux(path, form, [Track([(0.0, samples)])])
    described = {"format": form.container, "subtype": form.codec, **form.options}
    with sf.SoundFile(path, "w", form.rate, form.channels, **described) as file:
        for at in range(0, len(samples), _AT_ONCE):
            file.write(samples[at : at + _AT_ONCE])
    return path


@dataclass(frozen=True)
class Track:
    """A stream of sound: parts [num_samples] or [num_samples, 2], and when they begin, in seconds."""

    parts: Sequence[tuple[float, Samples]]
    language: str = ""


def mux(
    path: Path, form: Form, tracks: Sequence[Track], *, pictures: tuple[float, float] | None = None, title: str = ""
) -> Path:
    """Write streams of sound, and pictures from one time to another, in seconds."""
    import av

    with av.open(str(path), "w", format=form.container, options=dict(form.options)) as container:
        container.metadata.update({"title": title} if title else {})
        codec = _PICTURE_CODEC.get(form.container, "mpeg4")
        shown = container.add_stream(codec, rate=_PICTURES_PER_S) if pictures else None
        streams = [_stream(container, form, track) for track in tracks]
        packets = list(_pictures(shown, *pictures)) if pictures else []
        for stream, track in zip(streams, tracks, strict=True):
            for start_s, samples in track.parts:
                for frame in _frames(stream.codec_context, samples, form.rate, round(start_s * form.rate)):
                    packets += stream.encode(frame)
            packets += stream.encode(None)
        for packet in sorted(packets, key=_decoded_at):
            container.mux(packet)
    return path


def _decoded_at(packet: Any) -> float:
    return float(packet.dts * packet.time_base) if packet.dts is not None else 0.0


def _stream(container: Any, form: Form, track: Track) -> Any:
    settings = dict(form.settings)
    bit_rate = settings.pop("bit_rate", None)
    stream = container.add_stream(form.codec, rate=form.rate, options=settings)
    stream.layout = "mono" if track.parts[0][1].ndim == 1 else "stereo"
    if bit_rate:
        stream.bit_rate = int(bit_rate)
    if track.language:
        stream.metadata["language"] = track.language
    stream.codec_context.open()
    return stream


def _pictures(stream: Any, first_s: float, stop_s: float) -> Iterator[Any]:
    import av

    stream.width = stream.height = 16
    stream.pix_fmt = "yuv420p"
    for number in range(round(first_s * _PICTURES_PER_S), round(stop_s * _PICTURES_PER_S)):
        picture = av.VideoFrame(16, 16, "yuv420p")
        picture.pts, picture.time_base = number, Fraction(1, _PICTURES_PER_S)
        yield from stream.encode(picture)
    yield from stream.encode(None)


def _frames(context: Any, samples: Samples, rate: int, at: int) -> Iterable[Any]:
    """As long as the encoder wants them, with times that begin at sample `at`."""
    import av

    layout = "mono" if samples.ndim == 1 else "stereo"
    pcm = (samples * 32767).astype(np.int16).reshape(1, -1)
    whole = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
    whole.sample_rate, whole.pts = rate, 0
    resampler = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or 1024)
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        frame.pts, frame.time_base = at, Fraction(1, rate)
        at += frame.samples
        yield frame


_EXPERIMENTAL = {"strict": "experimental"}
_WMA = {"bit_rate": "64000"}
_VARIABLE = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
_FRAGMENTED = {"movflags": "empty_moov+frag_keyframe"}

#: Containers and codecs as people have them.
FORMS = (
    *(Form("wav", "WAV", codec) for codec in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *(Form("wav", "WAV", codec, 8_000) for codec in ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32")),
    Form("wav", "WAVEX", "PCM_16", 44_100, 2),
    *(Form("wav", "wav", codec, 44_100) for codec in ("pcm_s64le", "mp3", "adpcm_yamaha")),
    Form("wav", "wav", "g722"),
    Form("wav", "wav", "g726", 8_000),
    Form("wav", "wav", "wmav2", 44_100, settings=_WMA),
    Form("wav", "wav", "ac3", 48_000),
    Form("rf64", "RF64", "PCM_16"),
    Form("w64", "W64", "PCM_24", 48_000, 2),
    Form("aiff", "AIFF", "PCM_16", 44_100),
    Form("aiff", "AIFF", "FLOAT", 44_100),
    Form("aifc", "AIFF", "ULAW", 8_000),
    Form("au", "AU", "PCM_16"),
    Form("au", "AU", "ULAW", 8_000),
    Form("caf", "CAF", "PCM_16", 44_100),
    Form("caf", "CAF", "ALAC_16", 44_100),
    Form("sph", "NIST", "PCM_16"),
    Form("voc", "VOC", "PCM_16", 22_050),
    Form("voc", "voc", "pcm_u8"),
    Form("gsm", "RAW", "GSM610", 8_000),
    Form("flac", "FLAC", "PCM_16"),
    Form("flac", "FLAC", "PCM_24", 96_000, 2),
    Form("flac", "flac", "flac", 44_100),
    Form("ogg", "OGG", "VORBIS", 44_100, 2),
    Form("opus", "OGG", "OPUS", 48_000),
    Form("opus", "opus", "libopus", 48_000),
    Form("ogg", "ogg", "libopus", 16_000, 2),
    Form("oga", "ogg", "flac", 44_100),
    *(Form("mp3", "MP3", "MPEG_LAYER_III", rate) for rate in (44_100, 22_050, 8_000)),
    Form("mp3", "MP3", "MPEG_LAYER_III", 44_100, options=_VARIABLE),
    Form("mp3", "mp3", "libmp3lame", 48_000, 2, settings={"bit_rate": "128000"}),
    Form("mp3", "mp3", "libmp3lame", 44_100, options={"write_xing": "0"}),
    Form("mp2", "mp2", "mp2", 44_100),
    Form("ac3", "ac3", "ac3", 48_000, 2),
    Form("eac3", "eac3", "eac3", 48_000),
    Form("aac", "adts", "aac", 44_100),
    Form("aac", "adts", "aac", 16_000),
    Form("aac", "latm", "aac", 44_100),
    Form("m4a", "ipod", "aac", 44_100, 2),
    Form("m4a", "ipod", "aac", 8_000),
    Form("m4a", "ipod", "alac", 44_100),
    Form("mp4", "mp4", "aac", 48_000),
    Form("mp4", "mp4", "aac", 48_000, options=_FRAGMENTED),
    Form("mp4", "mp4", "mp3", 44_100),
    Form("mp4", "mp4", "libopus", 48_000),
    Form("mp4", "mp4", "flac", 44_100, settings=_EXPERIMENTAL),
    Form("mov", "mov", "pcm_s16le", 48_000),
    Form("mov", "mov", "adpcm_ima_qt", 44_100),
    Form("3gp", "3gp", "libopencore_amrnb", 8_000),
    Form("3g2", "3g2", "aac", 16_000),
    Form("f4v", "f4v", "aac", 44_100),
    Form("amr", "amr", "libopencore_amrnb", 8_000),
    Form("wma", "asf", "wmav1", 44_100, settings=_WMA),
    Form("wma", "asf", "wmav2", 44_100, 2, settings=_WMA),
    Form("wma", "asf", "wmav2", 22_050, settings={"bit_rate": "32000"}),
    Form("webm", "webm", "libopus", 48_000),
    Form("webm", "webm", "libopus", 48_000, options={"live": "1"}),
    Form("webm", "webm", "vorbis", 48_000, 2, settings=_EXPERIMENTAL),
    *(Form("mka", "matroska", codec, 44_100) for codec in ("flac", "aac", "mp3", "wavpack")),
    Form("mkv", "matroska", "pcm_s16le"),
    Form("mkv", "matroska", "ac3", 48_000),
    *(Form("avi", "avi", codec, 44_100) for codec in ("pcm_s16le", "mp3", "ac3")),
    *(Form("flv", "flv", codec, 22_050) for codec in ("mp3", "aac", "nellymoser")),
    Form("ts", "mpegts", "aac", 44_100),
    Form("ts", "mpegts", "mp2", 48_000),
    Form("mpg", "mpeg", "mp2", 44_100),
    Form("vob", "vob", "ac3", 48_000),
    Form("wv", "wv", "wavpack", 44_100),
    Form("tta", "tta", "tta", 44_100),
    Form("rm", "rm", "ac3", 44_100),
    Form("ra", "rm", "real_144", 8_000),
    Form("adx", "adx", "adpcm_adx", 44_100),
    Form("nut", "nut", "libopus", 48_000),
    Form("wtv", "wtv", "mp2", 44_100),
    Form("swf", "swf", "mp3", 44_100),
    Form("sox", "sox", "pcm_s32le"),
    Form("ircam", "ircam", "pcm_s16le"),
    Form("g722", "g722", "g722"),
    Form("sbc", "sbc", "sbc"),
    Form("aptx", "aptx", "aptx", 48_000, 2),
)
