"""Arrays, tensors and lists are taken as what they are, or refused in one line."""

from __future__ import annotations

import array

import numpy as np
import pytest
import torch

from speechxfer import audio
from speechxfer.errors import AudioError
from tests.audio.sounds import peak_hz, tone


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-128, 0, 64], np.int8), [-1, 0, 0.5]),
        (np.array([0, 32_768, 49_152], np.uint16), [-1, 0, 0.5]),
        (np.array([0, 1 << 31, 3 << 30], np.uint32), [-1, 0, 0.5]),
        (np.array([-32768, 0, 16384], ">i2"), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float16), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.longdouble), [-1, 0, 0.5]),
        (memoryview(array.array("h", [-32768, 0, 16384])), [-1, 0, 0.5]),
        (np.ma.MaskedArray([-1.0, 0, 0.5]), [-1, 0, 0.5]),
        (np.array([[-1.0, 0.0], [0, 0.0], [0.5, 0.0]])[:, ::-1], [-1, 0, 0.5]),
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


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([-1.0, 0.0, 0.5]),
        torch.tensor([[-1.0, 0.0, 0.5]]),
        torch.tensor([[-1.0, 0.0, 0.5]] * 2),
        torch.tensor([[-1.0], [0.0], [0.5]]).expand(3, 2),
        torch.tensor([-1.0, 0.0, 0.5], requires_grad=True),
        torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)[None].T,
        torch.tensor([-1.0, 0.0, 0.5]).half(),
        torch.tensor([-1.0, 0.0, 0.5]).bfloat16(),
        torch.tensor([-32768, 0, 16384], dtype=torch.int16),
        torch.tensor([0, 128, 192], dtype=torch.uint8),
    ],
)
def test_tensors_are_the_same_as_arrays(tensor: torch.Tensor) -> None:
    np.testing.assert_allclose(audio.from_array(tensor, 16_000), [-1, 0, 0.5], atol=1e-6)


@pytest.mark.parametrize("scale", [32_768, 32_767, 2**31])
def test_floats_that_are_scaled_as_integers_are_refused(scale: float) -> None:
    """As `wave`, pydub or sounddevice give them when they are only turned to floats."""
    whole = np.round(scale * tone(440, 1))
    for samples in (whole, whole.astype(np.float32), list(whole), torch.from_numpy(whole), np.round(1e-4 * whole)):
        with pytest.raises(AudioError, match=r"^<array>: samples reach [\d,]+, but .* divide by 32768"):
            audio.from_array(samples, 16_000)
    with pytest.raises(AudioError, match="divide by 32768"):
        audio.from_array(scale * tone(440, 1) + 0.3, 16_000)


def test_floats_a_little_above_full_scale_are_sound() -> None:
    for scale in (1.5, 3.0, 20.0):
        assert np.abs(audio.from_array(scale * tone(440, 1), 16_000)).max() == pytest.approx(scale / 2, rel=0.01)
    assert audio.from_array(np.array([1.0, -1.0, 0.0, 1.0]), 16_000).tolist() == [1, -1, 0, 1]


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
        (np.zeros(4, np.int64), 16_000, "type int64 have no known scale; divide by 32768"),
        ([1, 2, 3], 16_000, "type int64 have no known scale"),
        (np.zeros(4, bool), 16_000, "type bool"),
        (np.zeros(4, complex), 16_000, "type complex128"),
        (np.array([1.0, None]), 16_000, "type object"),
        (np.ma.MaskedArray([0.1, 0.2], mask=[True, False]), 16_000, "some samples are masked"),
        (torch.zeros(2, 2, 2), 16_000, r"shape \(2, 2, 2\)"),
        (torch.zeros(4, dtype=torch.int64), 16_000, "type int64"),
        (torch.tensor([0.0, torch.nan]), 16_000, "1 samples are NaN"),
        (torch.zeros(4, dtype=torch.complex64), 16_000, "type complex64"),
        (torch.zeros(4).to_sparse(), 16_000, "not an array of numbers"),
        (np.array(["a"]), 16_000, "type <U1"),
        ([[1.0], [1.0, 2.0]], 16_000, "not an array of numbers"),
        (np.zeros(4), 0, "sample rate is 0"),
        (np.zeros(4), "16k", "sample rate is 16k"),
        (np.zeros(4), None, "sample rate is None"),
        (np.zeros(4), float("nan"), "sample rate is nan"),
    ],
)
def test_arrays_that_cannot_be_used(samples: np.ndarray, rate: float, said: str) -> None:
    with pytest.raises(AudioError, match=f"^<array>: .*{said}"):
        audio.from_array(samples, rate)
