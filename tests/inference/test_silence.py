from __future__ import annotations

import numpy as np
import pytest

from speechxfer.audio import SAMPLE_RATE, Waveform, from_array
from speechxfer.inference.silence import HOP, audible, is_silent, sounding_s


def noise(seconds: float, level_db: float) -> Waveform:
    """Gaussian noise at a level in dB of full scale."""
    size = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(0).normal(0, 10 ** (level_db / 20), size).astype(np.float32)


def silence(seconds: float) -> Waveform:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


@pytest.mark.parametrize(
    "waveform",
    [
        silence(0),
        silence(1 / SAMPLE_RATE),
        silence(300),
        silence(3) + np.float32(0.1),
        noise(300, -90),
        noise(3, -90) - np.float32(0.5),
        np.full(1, 0.5, np.float32),
        np.round(np.random.default_rng(0).uniform(-1, 1, 50_000)).astype(np.float32) / 32768,  # the last bit of 16
        from_array(np.full(80_000, 0.1), 8000),  # resampling has made clicks of the edges
        from_array(np.full(80_000, 0.1), 44_100),
        from_array(np.zeros((50_000, 2), np.int16), SAMPLE_RATE),
    ],
)
def test_silence(waveform: Waveform) -> None:
    assert is_silent(waveform)


@pytest.mark.parametrize(
    "waveform",
    [
        noise(0.05, -40),
        noise(3, -75),
        noise(1, -60) + np.float32(0.3),
    ],
)
def test_sound(waveform: Waveform) -> None:
    assert not is_silent(waveform)
    assert audible(waveform).all()


@pytest.mark.parametrize("before_s", [0.98, 70])
def test_sound_that_comes_late(before_s: float) -> None:
    assert not is_silent(np.concatenate([silence(before_s), noise(0.05, -40), silence(1)]))


def test_a_click_alone_is_no_sound_and_a_knock_is_one() -> None:
    waveform = silence(1)
    waveform[8000] = 0.9
    assert is_silent(waveform)
    waveform[8000:8800] = noise(0.05, -20)
    assert np.flatnonzero(audible(waveform)).tolist() == list(range(8000 // HOP, 8800 // HOP))


def test_sound_lasts_from_the_first_to_the_last() -> None:
    waveform = np.concatenate([silence(1.5), noise(1, -20), silence(1), noise(0.5, -20), silence(0.7)])
    assert sounding_s(waveform) == pytest.approx((1.5, 4.0), abs=0.011)


def test_noise_of_a_room_before_and_after_speech_is_left_out() -> None:
    waveform = np.concatenate([noise(6, -65), noise(1, -20), noise(3, -65)])
    assert sounding_s(waveform) == pytest.approx((5.8, 7.2), abs=0.03)


@pytest.mark.parametrize("waveform", [noise(3, -20), silence(3), np.concatenate([noise(2, -30), noise(1, -20)])])
def test_where_nothing_stands_out_it_lasts_throughout(waveform: Waveform) -> None:
    assert sounding_s(waveform) == (0.0, 3.0)
