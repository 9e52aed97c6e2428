"""Any file, bytes or array becomes mono float32 at 16 kHz, or one AudioError that names it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer import audio
from speechxfer.errors import AudioError
from tests.audio.sounds import SOUNDFILE, chirp, encode, misplaced, peak_hz, rate_of, tone, wav_bytes, write

def every_way(source: audio.Source) -> list[str]:
    """The messages of info, load and blocks, each of which has to refuse `source`."""
    messages = []
    for read in (audio.info, audio.load, lambda it: list(audio.blocks(it))):
        with pytest.raises(AudioError) as caught:
            read(source)
        messages.append(str(caught.value))
    assert not any("\n" in message for message in messages)
    return messages


# Formats


@pytest.mark.parametrize("suffix", [*SOUNDFILE, "m4a", "mp4", "webm", "mka", "aac", "amr"])
def test_each_format_is_read_measured_and_cut(tmp_path: Path, suffix: str) -> None:
    rate = rate_of(suffix)
    path = write(tmp_path, suffix, chirp(4.0, rate), rate)

    whole = audio.load(path)
    assert whole.dtype == np.float32
    assert whole.ndim == 1
    assert len(whole) / audio.SAMPLE_RATE == pytest.approx(4.0, abs=0.06)
    half = len(whole) // 2
    assert peak_hz(whole[half - 800 : half + 800]) == pytest.approx(1600, abs=60)

    stated = audio.info(path)
    assert (stated.sample_rate, stated.channels) == (rate, 1)
    assert stated.duration == pytest.approx(len(whole) / audio.SAMPLE_RATE, abs=0.06)

    np.testing.assert_allclose(audio.load(path.read_bytes()), whole, atol=1e-6)
    np.testing.assert_allclose(audio.load(path, duration=1.0)[:15_800], whole[:15_800], atol=1e-4)
    excerpt = audio.load(path, start=1.5, duration=1.0)
    assert len(excerpt) == 16_000
    shift, difference = misplaced(excerpt, whole[24_000 - 32 : 40_000 + 32])
    assert difference < 0.02
    # Matroska's time stamps are rounded to milliseconds.
    assert abs(shift) <= (16 if suffix in {"webm", "mka"} else 0)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
def test_blocks_are_load_cut_in_pieces(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, chirp(13.0, 44_100), 44_100)
    pieces = list(audio.blocks(path, block_s=2.5))
    assert [len(piece) for piece in pieces[:-1]] == [40_000] * (len(pieces) - 1)
    assert 0 < len(pieces[-1]) <= 40_000
    np.testing.assert_allclose(np.concatenate(pieces), audio.load(path), atol=1e-4)


def test_blocks_decode_no_further_than_asked(tmp_path: Path) -> None:
    samples = tone(440, 60, 16_000)
    samples[-1] = np.nan
    stream = audio.blocks(wav_bytes(samples, subtype="FLOAT"), block_s=1.0)
    assert len(next(stream)) == 16_000


def test_a_varying_bit_rate_does_not_bend_the_duration(tmp_path: Path) -> None:
    samples = np.concatenate([np.random.default_rng(0).normal(0, 0.1, 44_100), np.zeros(44_100 * 20)])
    path = encode(tmp_path / "sound.aac", samples, 44_100)
    assert audio.info(path).duration == pytest.approx(21, abs=0.06)
    assert len(audio.load(path, start=20, duration=1)) == 16_000


def test_video_gives_its_sound(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mp4", tone(440, 2, 44_100), 44_100, video=True)
    assert peak_hz(audio.load(path)) == pytest.approx(440, abs=2)


def test_a_live_recording_without_duration_is_measured(tmp_path: Path) -> None:
    path = encode(tmp_path / "live.webm", chirp(3, 48_000), 48_000, live="1")
    with av.open(str(path)) as container:
        assert not container.duration
    assert audio.info(path).duration == pytest.approx(3.0, abs=0.05)
    shift, difference = misplaced(audio.load(path, start=2, duration=0.5), audio.load(path)[31_968:40_032])
    assert abs(shift) <= 16
    assert difference < 0.02


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_streamed_wav_is_read_to_its_end(size: int) -> None:
    content = wav_bytes(tone(440, 1, 16_000))
    at = content.index(b"data") + 4
    content = content[:at] + struct.pack("<I", size) + content[at + 4 :]
    assert len(audio.load(content)) == 16_000
    assert audio.info(content).duration == pytest.approx(1.0)


def test_a_streamed_flac_is_read_to_its_end() -> None:
    content = bytearray(wav_bytes(tone(440, 2, 16_000), format="FLAC"))
    content[21] &= 0xF0  # STREAMINFO's count of samples, 36 bits: 0 stands for unknown
    content[22:26] = bytes(4)
    assert len(audio.load(bytes(content))) == 32_000
    assert audio.info(bytes(content)).duration == pytest.approx(2.0)
    assert len(audio.load(bytes(content), start=0.5, duration=1)) == 16_000


# Sources


def test_paths_bytes_and_files_are_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", chirp(1, 16_000), 16_000)
    whole = audio.load(path)
    with path.open("rb") as file:
        file.seek(100)
        assert audio.info(file).duration == 1.0
        np.testing.assert_array_equal(audio.load(file), whole)
        assert not file.closed
    np.testing.assert_array_equal(audio.load(str(path)), whole)
    np.testing.assert_array_equal(audio.load(io.BytesIO(path.read_bytes())), whole)


def test_a_pipe_is_read_into_memory(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", chirp(1, 16_000), 16_000)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        np.testing.assert_array_equal(audio.load(cast(BinaryIO, process.stdout)), audio.load(path))


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    target = write(tmp_path, "aac", tone(440, 1, 44_100), 44_100)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n")
    with pytest.raises(AudioError, match=r"list\.m3u8"):
        audio.load(playlist)


def test_importing_it_loads_neither_torch_nor_ffmpeg() -> None:
    code = "import sys, speechxfer.audio; print({'torch', 'av', 'soxr'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


# Resampling and mixing


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_and_its_level(rate: int) -> None:
    waveform = audio.load(wav_bytes(tone(440, 2, rate), rate, subtype="FLOAT"))
    assert len(waveform) == pytest.approx(32_000, abs=1)
    assert peak_hz(waveform) == pytest.approx(440, abs=0.5)
    middle = waveform[4_000:-4_000]
    np.testing.assert_allclose(middle, tone(440, 2, 16_000)[4_000 : 4_000 + len(middle)], atol=1e-3)


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    waveform = audio.load(wav_bytes(tone(10_000, 1, 44_100), 44_100, subtype="FLOAT"))
    assert np.abs(waveform[1000:-1000]).max() < 1e-3


def test_channels_are_averaged() -> None:
    left, right = tone(440, 1, 44_100), tone(1_000, 1, 44_100)
    stereo = audio.load(wav_bytes(np.stack([left, right], axis=1), 44_100, subtype="FLOAT"))
    np.testing.assert_allclose(stereo, audio.from_array((left + right) / 2, 44_100), atol=1e-5)
    assert audio.info(wav_bytes(np.stack([left] * 3, axis=1), 44_100)).channels == 3


# Excerpts

RAMP = (np.arange(16_000 * 3) / 2**16).astype(np.float32)
RAMP_WAV = wav_bytes(RAMP, subtype="FLOAT")


@settings(max_examples=60)
@given(start=st.floats(0, 2.99), duration=st.floats(0.001, 3.0))
def test_an_excerpt_is_a_slice(start: float, duration: float) -> None:
    if start + duration > 3.1:
        with pytest.raises(AudioError, match=r"3\.000 s long"):
            audio.load(RAMP_WAV, start=start, duration=duration)
        return
    first = round(start * 16_000)
    expected = RAMP[first : first + round(duration * 16_000)]
    np.testing.assert_array_equal(audio.load(RAMP_WAV, start=start, duration=duration), expected)


def test_an_excerpt_without_duration_goes_to_the_end() -> None:
    np.testing.assert_array_equal(audio.load(RAMP_WAV, start=2.5), RAMP[40_000:])
    np.testing.assert_array_equal(audio.load(RAMP_WAV, duration=3.09), RAMP)


def test_an_excerpt_reads_only_its_own_samples() -> None:
    samples = tone(440, 3, 16_000)
    samples[[0, -1]] = np.nan
    assert len(audio.load(wav_bytes(samples, subtype="FLOAT"), start=1.0, duration=1.0)) == 16_000


@pytest.mark.parametrize(
    ("start", "duration", "said"),
    [
        (3.0, 1.0, r"3\.000 s long.*from 3\.000 s to 4\.000 s"),
        (9.0, None, r"3\.000 s long.*from 9\.000 s to the end"),
        (2.0, 1.2, r"3\.000 s long.*from 2\.000 s to 3\.200 s"),
        (-1.0, None, "start must be at least 0"),
        (float("nan"), None, "start must be at least 0"),
        (0.0, 0.0, "duration above 0"),
        (1.0, 1e-6, "no samples"),
        (0.0, 1e-6, "no samples"),
    ],
)
def test_an_excerpt_outside_the_file(start: float, duration: float | None, said: str) -> None:
    with pytest.raises(AudioError, match=f"^<bytes>: .*{said}"):
        audio.load(RAMP_WAV, start=start, duration=duration)


def test_a_pause_in_the_time_stamps_becomes_silence(tmp_path: Path) -> None:
    path, samples = tmp_path / "pause.mka", (tone(440, 1, 16_000) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        stream.layout = "mono"
        for pts in (0, 48_000):  # the second tone begins at 3 s
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, pts
            container.mux(stream.encode(frame))
    waveform = audio.load(path)
    assert len(waveform) == 64_000
    assert not waveform[16_000:48_000].any()
    np.testing.assert_allclose(audio.load(path, start=3.25, duration=0.5), waveform[52_000:60_000], atol=1e-6)


# What cannot be used


def test_files_that_are_not_there_or_not_sound(tmp_path: Path) -> None:
    text, empty = tmp_path / "notes.wav", tmp_path / "empty.wav"
    noise, raw = tmp_path / "noise.bin", tmp_path / "sound.raw"
    text.write_text("version https://git-lfs.github.com/spec/v1\n")
    empty.touch()
    noise.write_bytes(bytes(range(256)) * 16)
    raw.write_bytes(bytes(4000))
    for path, said in [
        (tmp_path / "absent.wav", "no such file"),
        (tmp_path, "a folder"),
        (empty, "0 bytes"),
        (text, "it looks like text, b'version http"),
        (noise, "not readable as audio"),
        (raw, "samplerate must be specified"),
        (Path("nul\0.wav"), "cannot be opened"),
    ]:
        for message in every_way(path):
            assert message.startswith(f"{path}: "), message
            assert said in message


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert all("secret.wav: permission denied" in message for message in every_way(tmp_path / "secret.wav"))


def test_a_film_without_sound(tmp_path: Path) -> None:
    path = encode(tmp_path / "mute.mp4", np.empty(0), 44_100, video=True)
    assert all(f"{path}: no audio stream" in message and "found: video" in message for message in every_way(path))


@pytest.mark.parametrize("format_", ["WAV", "AIFF"])
def test_a_cut_wav_promises_more_than_it_holds(tmp_path: Path, format_: str) -> None:
    path = tmp_path / "cut.wav"
    whole = wav_bytes(tone(440, 1, 16_000), format=format_)
    path.write_bytes(whole[: len(whole) // 2])
    for message in every_way(path):
        assert message.startswith(f"{path}: cut short")
        assert "32,000 bytes" in message or "32,008 bytes" in message
    path.write_bytes(whole[:-100])  # a header that is off by a little is common, and harmless
    assert len(audio.load(path)) == 15_950
    path.write_bytes(whole[:30])
    assert all(str(path) in message for message in every_way(path))


@pytest.mark.parametrize("suffix", ["flac", "mp3", "mp4", "m4a", "mka"])
def test_a_cut_file_is_noticed_when_it_is_read(tmp_path: Path, suffix: str) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 44_100 * 8).astype(np.float32)
    path = tmp_path / f"cut.{suffix}"
    if suffix == "mp4":
        encode(path, samples, 44_100, movflags="faststart")  # the index first, so half a file opens
    elif suffix in PYAV:
        encode(path, samples, 44_100)
    else:
        sf.write(path, samples, 44_100)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AudioError, match=f"cut.{suffix}: (cut short|damaged|not readable)"):
        audio.load(path)
    with pytest.raises(AudioError, match=f"cut.{suffix}: (cut short|damaged|not readable)"):
        list(audio.blocks(path))


def test_no_samples() -> None:
    with pytest.raises(AudioError, match=r"^<bytes>: holds no samples"):
        audio.load(wav_bytes(np.empty(0)))
    with pytest.raises(AudioError, match=r"^<bytes>: the file is empty"):
        audio.load(b"")


def test_nan_is_counted_and_located(tmp_path: Path) -> None:
    samples = np.stack([tone(440, 40, 16_000)] * 2, axis=1)
    samples[8_000, 0], samples[9_000, 1], samples[-1] = np.nan, -np.inf, (np.inf, -np.inf)
    path = tmp_path / "broken.wav"
    sf.write(path, samples, 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"broken\.wav: 3 samples are NaN or infinite, the first at 0\.500 s"):
        audio.load(path)
    with pytest.raises(AudioError, match=r"2 samples .* the first at 0\.562 s"):
        audio.load(path, start=0.55)
    with pytest.raises(AudioError, match="3 samples"):
        list(audio.blocks(path, block_s=0.1))


def test_blocks_need_a_length() -> None:
    with pytest.raises(AudioError, match="block_s is 0"):
        audio.blocks(RAMP_WAV, block_s=0)
