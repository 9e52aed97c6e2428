"""Any file, bytes or array becomes mono float32 at 16 kHz, or one AudioError that names it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest
import soundfile as sf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from speechxfer import audio
from speechxfer.errors import AudioError, printable
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


def test_video_gives_its_sound(tmp_path: Path) -> None:
    path = encode(tmp_path / "film.mp4", tone(440, 2, 44_100), 44_100, video=True)
    assert peak_hz(audio.load(path)) == pytest.approx(440, abs=2)


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


def test_a_pipe_is_read_by_its_name_too(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", chirp(1, 16_000), 16_000)
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        np.testing.assert_array_equal(audio.load(cast(BinaryIO, process.stdout)), audio.load(path))
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        name = f"/dev/fd/{cast(BinaryIO, process.stdout).fileno()}"
        np.testing.assert_array_equal(np.concatenate(list(audio.blocks(name))), audio.load(path))
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    with subprocess.Popen(f"cat '{path}' > '{fifo}'", shell=True):
        np.testing.assert_array_equal(audio.load(fifo), audio.load(path))


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", chirp(1, 16_000), 16_000)
    with path.open(encoding="latin-1") as text, pytest.raises(AudioError, match="binary mode"):
        audio.load(cast(BinaryIO, text))
    with pytest.raises(AudioError, match="an array needs its sample_rate"):
        audio.load(cast(BinaryIO, np.zeros(16_000)))
    np.testing.assert_array_equal(audio.load(bytearray(path.read_bytes())), audio.load(path))


@pytest.mark.parametrize("name", ["talk.gsm", "talk.vox", "talk.ul", "talk.sln", "talk.raw", "talk.g722"])
def test_content_counts_more_than_the_suffix(tmp_path: Path, name: str) -> None:
    """Bare samples have no header, so that such a name would make noise of anything."""
    path = encode(tmp_path / "talk.m4a", tone(440, 2, 44_100), 44_100)
    assert peak_hz(audio.load(path.rename(tmp_path / name))) == pytest.approx(440, abs=2)
    noise = tmp_path / f"noise-{name}"
    noise.write_bytes(np.random.default_rng(0).bytes(40_000))
    assert all("not readable as audio" in message for message in every_way(noise))


def test_bare_gsm_is_read_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "prompt.gsm"
    sf.write(path, tone(440, 2, 8_000), 8_000, format="RAW", subtype="GSM610")
    assert peak_hz(audio.load(path)) == pytest.approx(440, abs=2)


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path) -> None:
    path = encode(tmp_path / "tagged.m4a", tone(440, 1, 44_100), 44_100, title="cafX")
    path.write_bytes(path.read_bytes().replace(b"cafX", b"caf\xe9"))
    assert len(audio.load(path)) == 16_000


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


# Resampling


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


# Excerpts

RAMP = (np.arange(16_000 * 3) / 2**16).astype(np.float32)
RAMP_WAV = wav_bytes(RAMP, subtype="FLOAT")


@settings(max_examples=60)
@given(start=st.floats(0, 2.99), duration=st.floats(0.001, 3.0))
def test_an_excerpt_is_a_slice(start: float, duration: float) -> None:
    missing = start + duration - 3.0
    if missing > max(0.1, 0.1 * duration, min(0.5, 0.25 * duration)) + 1e-4:
        with pytest.raises(AudioError, match=r"3\.000 s long"):
            audio.load(RAMP_WAV, start=start, duration=duration)
        return
    assume(missing < max(0.1, 0.1 * duration, min(0.5, 0.25 * duration)) - 1e-4)
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
        (2.0, 1.6, r"3\.000 s long.*from 2\.000 s to 3\.600 s"),
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


# What cannot be used


def test_files_that_are_not_there_or_not_sound(tmp_path: Path) -> None:
    text, empty = tmp_path / "notes.wav", tmp_path / "empty.wav"
    noise, raw = tmp_path / "noise.bin", tmp_path / "sound.raw"
    text.write_text("spoken by A. in the morning\n")
    pointer, page = tmp_path / "pointer.flac", tmp_path / "page.mp3"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 4\n")
    page.write_text("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n")
    empty.touch()
    noise.write_bytes(bytes(range(256)) * 16)
    raw.write_bytes(bytes(4000))
    for path, said in [
        (tmp_path / "absent.wav", "no such file"),
        (tmp_path, "a folder"),
        (empty, "0 bytes"),
        (text, "it looks like text, b'spoken by"),
        (pointer, "git lfs pull"),
        (page, "a web page"),
        (Path("/dev/zero"), "a device"),
        (noise, "not readable as audio"),
        (raw, "samplerate must be specified"),
        (Path("nul\0.wav"), "cannot be opened"),
    ]:
        for message in every_way(path):
            assert message.startswith(f"{printable(str(path))}: "), message
            assert said in message


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert all("secret.wav: permission denied" in message for message in every_way(tmp_path / "secret.wav"))


def test_a_film_without_sound(tmp_path: Path) -> None:
    path = encode(tmp_path / "mute.mp4", np.empty(0), 44_100, video=True)
    assert all(f"{path}: no audio stream" in message and "found: video" in message for message in every_way(path))


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
