"""When sound begins: late sound, pauses, pieces of recordings, several streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechxfer import audio
from speechxfer.audio.clock import Clock
from speechxfer.errors import AudioError
from tests.audio.sounds import encode, encode_parts, misplaced, noise, peak_hz, tone


def begins_s(waveform: np.ndarray) -> float:
    return float(np.argmax(np.abs(waveform) > 0.02)) / audio.SAMPLE_RATE


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_sound_of_a_film_that_begins_late_keeps_its_time(tmp_path: Path, suffix: str) -> None:
    path = encode_parts(tmp_path / f"film.{suffix}", [(4.0, tone(440, 3, 48_000))], 48_000, pictures=(0, 7))
    whole = audio.load(path)
    assert begins_s(whole) == pytest.approx(4, abs=0.06)
    assert len(whole) / 16_000 == pytest.approx(7, abs=0.06)
    assert audio.info(path).duration == pytest.approx(7, abs=0.06)
    assert begins_s(np.concatenate(list(audio.blocks(path, block_s=1)))) == begins_s(whole)
    excerpt = audio.load(path, start=3.5, duration=1)
    assert begins_s(excerpt) == pytest.approx(0.5, abs=0.06)
    assert not audio.load(path, start=1, duration=2).any()
    assert peak_hz(audio.load(path, start=5, duration=1)) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_before_the_picture_is_kept(tmp_path: Path, suffix: str) -> None:
    path = encode_parts(tmp_path / f"film.{suffix}", [(0.0, tone(440, 5, 48_000))], 48_000, pictures=(2, 5))
    assert len(audio.load(path)) / 16_000 == pytest.approx(5, abs=0.06)
    assert begins_s(audio.load(path)) < 0.06


@pytest.mark.parametrize("suffix", ["webm", "mka", "ts", "mkv"])
def test_a_later_piece_of_a_recording_begins_with_its_sound(tmp_path: Path, suffix: str) -> None:
    rate = 48_000
    path = encode_parts(tmp_path / f"part001.{suffix}", [(10.0, tone(440, 5, rate))], rate)
    whole = audio.load(path, strict=True)
    assert len(whole) / 16_000 == pytest.approx(5, abs=0.05)
    assert begins_s(whole) < 0.05
    assert audio.info(path).duration == pytest.approx(5, abs=0.05)
    assert len(audio.load(path, start=4, duration=0.9)) == 14_400


@pytest.mark.parametrize("pause_s", [2.0, 720.0])
def test_a_pause_is_silence_of_its_length(tmp_path: Path, pause_s: float) -> None:
    later = 1 + pause_s
    path = encode_parts(tmp_path / "pause.mkv", [(0, tone(440, 1)), (later, tone(900, 1))], 16_000)
    waveform = audio.load(path, strict=True)
    assert len(waveform) == round(16_000 * (pause_s + 2))
    assert not waveform[16_000 : round(16_000 * later)].any()
    assert peak_hz(waveform[-15_000:]) == pytest.approx(900, abs=2)
    assert audio.info(path).duration == pytest.approx(pause_s + 2)
    excerpt = audio.load(path, start=later - 0.25, duration=0.5)
    np.testing.assert_allclose(excerpt, waveform[round((later - 0.25) * 16_000) :][:8_000], atol=1e-6)
    assert not audio.load(path, start=1.5, duration=0.25).any()


def test_hours_of_pause_are_blocks_but_no_array(tmp_path: Path) -> None:
    path = encode_parts(tmp_path / "pause.mkv", [(0, tone(440, 1)), (7_201, tone(900, 1))], 16_000)
    assert sum(map(len, audio.blocks(path))) == 7_202 * 16_000
    with pytest.raises(AudioError, match="pauses of more than an hour"):
        audio.load(path)
    assert len(audio.load(path, start=7_200, duration=1.5)) == 24_000


def test_a_clock_that_jumps_by_years_is_no_pause(tmp_path: Path) -> None:
    path = encode_parts(tmp_path / "jump.mkv", [(0, tone(440, 1)), (40_000_000, tone(900, 1))], 16_000)
    notices: list[audio.Notice] = []
    assert sum(map(len, audio.blocks(path, notify=notices.append))) == 32_000
    assert [notice.kind for notice in notices] == ["clock"]


def test_pauses_are_jumps_ahead_that_are_not_too_long() -> None:
    clock = Clock(0, 1000, "trusted")
    assert clock.place(0.05, 1000) == 0  # rounded
    clock.advance(1000)
    assert clock.place(3.0, 1000) == pytest.approx(2.0)
    clock.advance(1000)
    assert clock.place(0.0, 1000) == 0  # set back: the sound goes on
    assert clock.now_s == 4.0
    clock.advance(500)
    assert clock.place(1.0, 1000) == pytest.approx(0.5)
    assert clock.place(1.0, 2000) == 0
    assert (clock.at, clock.rate) == (10_000, 2000)


def test_windows_media_is_read_without_its_last_time_stamp(tmp_path: Path) -> None:
    path = encode(tmp_path / "dictation.wma", noise(4, 44_100), 44_100)
    assert len(audio.load(path, strict=True)) / 16_000 == pytest.approx(4, abs=0.05)
    whole = audio.load(path)
    shift, difference = misplaced(audio.load(path, start=2, duration=0.5), whole[31_968:40_032])
    assert abs(shift) <= 16
    assert difference < 0.2


# Several streams


@pytest.fixture
def call(tmp_path: Path) -> Path:
    others = [("fra", tone(900, 3)), ("", tone(1_500, 3))]
    return encode_parts(tmp_path / "call.mkv", [(0, tone(440, 3))], 16_000, others=others)


def test_one_of_several_streams_is_chosen(call: Path) -> None:
    found = [peak_hz(audio.load(call, stream=number)) for number in range(3)]
    assert found == pytest.approx([440, 900, 1_500], abs=2)
    assert peak_hz(next(audio.blocks(call, stream=1))) == pytest.approx(900, abs=2)
    assert audio.info(call, stream=2).duration == pytest.approx(3)
    with pytest.raises(AudioError, match=r"audio stream 3 is wanted; the file has 3, counted from 0"):
        audio.load(call, stream=3)


def test_which_of_several_streams_is_read_is_reported(call: Path) -> None:
    notices: list[audio.Notice] = []
    assert peak_hz(audio.load(call, notify=notices.append, strict=True)) == pytest.approx(440, abs=2)
    assert [notice.kind for notice in notices] == ["streams"]
    assert "3 audio streams: 0 (1 channel), 1 (fra, 1 channel), 2 (1 channel); 0 is read" in str(notices[0])
    notices.clear()
    audio.load(call, stream=1, notify=notices.append)
    assert not notices


def test_a_file_of_one_stream_has_no_other(tmp_path: Path) -> None:
    for path in (encode(tmp_path / "one.m4a", noise(1), 16_000), tmp_path / "one.wav"):
        if path.suffix == ".wav":
            path.write_bytes(encode(tmp_path / "two.m4a", noise(1), 16_000).read_bytes())
        assert len(audio.load(path, stream=0)) == 16_000
        with pytest.raises(AudioError, match="audio stream 1 is wanted; the file has 1"):
            audio.load(path, stream=1)
