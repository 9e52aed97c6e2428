"""Arrays, tensors and lists are taken as what they are, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from speechxfer import audio
from speechxfer.errors import AudioError
from tests.audio.sounds import peak_hz, tone


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float16), [-1, 0, 0.5]),
        ([-1.0, 0.0, 0.5], [-1, 0, 0.5]),
        (np.array([[-1.0, 0.0], [0.5, 0.5], [1, 0]]), [-0.5, 0.5, 0.5]),
        (np.array([[-1.0, 0, 1], [0, 0, 1]]), [-0.5, 0, 1]),
        (np.array([[-1.0, 0, 0.5]]), [-1, 0, 0.5]),
    ],
)
def test_arrays_of_any_type(samples: np.ndarray, expected: list[float]) -> None:
    waveform = audio.from_array(samples, 16_000)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, expected, atol=1e-6)


def test_an_array_is_resampled_and_left_alone() -> None:
    samples = tone(440, 1, 16_000)
    audio.from_array(samples, 16_000)[:] = 0
    assert samples.any()
    assert peak_hz(audio.from_array(tone(440, 1, 8_000), 8_000)) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.empty(0), 16_000, "no samples"),
        (np.empty((0, 2)), 16_000, "no samples"),
        (np.empty((5, 0)), 16_000, "no samples"),
        (np.array([0.0, np.nan]), 16_000, "1 samples are NaN"),
        (np.array([1e300]), 16_000, "1 samples are NaN or infinite"),
        (np.zeros((2, 2, 2)), 16_000, r"shape \(2, 2, 2\)"),
        (np.zeros(4, np.int64), 16_000, "type int64"),
        (np.array(["a"]), 16_000, "type <U1"),
        ([[1.0], [1.0, 2.0]], 16_000, "not an array of numbers"),
        (np.zeros(4), 0, "sample rate is 0"),
        (np.zeros(4), float("nan"), "sample rate is nan"),
    ],
)
def test_arrays_that_cannot_be_used(samples: np.ndarray, rate: float, said: str) -> None:
    with pytest.raises(AudioError, match=f"^<array>: .*{said}"):
        audio.from_array(samples, rate)
