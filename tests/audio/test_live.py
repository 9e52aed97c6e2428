"""Sound that comes in chunks is that of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.audio import Waveform, from_array
from speechxfer.audio.live import LiveSound
from speechxfer.errors import AudioError


def sound(channels: int, rate: int, seconds: float = 2.3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, (round(seconds * rate), channels)).astype(np.float32)


def fed(samples: np.ndarray, size: int, rate: float, channel: int | None = None) -> Waveform:
    live = LiveSound(rate, channel=channel)
    found = [live.feed(samples[at : at + size]) for at in range(0, len(samples), size)]
    return np.concatenate([*found, live.rest()])


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 60_000), st.sampled_from([4_000, 16_000, 44_100, 192_000]), st.sampled_from([1, 2, 48]),
    st.sampled_from([None, 0]),
)  # fmt: skip
def test_chunks_become_what_the_whole_would_be(size: int, rate: int, channels: int, channel: int | None) -> None:
    samples = sound(channels, rate, seconds=1.3)
    whole = from_array(samples, rate, channel=channel)
    assert np.array_equal(fed(samples, max(size, len(samples) // 500), rate, channel), whole)


def test_integers_are_scaled_and_types_may_change() -> None:
    samples = sound(1, 16_000)[:, 0]
    live = LiveSound(16_000)
    integers = live.feed(np.round(samples * 32768).astype(np.int16))
    assert np.allclose(integers, samples, atol=1e-4)
    assert np.array_equal(live.feed(samples), samples)


def test_an_empty_chunk_is_no_sound() -> None:
    live = LiveSound(16_000)
    assert not len(live.feed([]))
    assert not len(live.rest())


def test_what_is_no_sound_is_refused() -> None:
    live = LiveSound(8_000)
    live.feed(np.zeros(4_000, np.float32))
    bad = np.array([0.0, np.nan, 0.0], np.float32)
    for chunk, message in (
        (bad, r"<stream>: 1 samples are NaN or infinite, the first at 0\.500 s"),
        (np.array([12_000.0]), r"samples reach 12,000, but floats go from -1 to 1"),
        (np.zeros((10, 2)), r"a chunk with 2 channels at 0\.500 s, after chunks with 1"),
        (np.zeros((1, 2, 3)), r"a chunk of shape \(1, 2, 3\); \[n\] or \[n, channels\] is wanted"),
        (np.zeros(3, np.int64), r"samples of type int64 have no known scale"),
        (b"\0\0", r"samples of type \|S"),
    ):
        with pytest.raises(AudioError, match=message):
            live.feed(chunk)  # type: ignore[arg-type]


def test_rates_that_no_recording_has_are_refused() -> None:
    with pytest.raises(AudioError, match="the sample rate is 0"):
        LiveSound(0)


def test_a_chunk_of_too_many_channels_is_refused() -> None:
    with pytest.raises(AudioError, match="160 channels"):
        LiveSound(16_000).feed(np.zeros((1, 160)))
