"""Samples that are in memory already: arrays, tensors, lists and whatever else NumPy understands."""

from __future__ import annotations

from numbers import Real
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speechxfer.audio import mixing
from speechxfer.audio.pieces import RATES_HZ, Piece, Waveform, floats
from speechxfer.audio.resampling import at_16_khz, scaled_as_integers
from speechxfer.errors import AudioError

_NAME = "<array>"
#: [channels, n] has at most so many rows.
_MOST_ROWS = 8
#: Floats that are whole numbers up to this were integers once.
_LARGEST = 2**31


def from_array(samples: ArrayLike, sample_rate: float, *, channel: int | None = None) -> Waveform:
    """Samples already in memory as float32 mono at 16 kHz, in memory of their own.

    Args:
        samples: an array, a tensor of torch on any device, a list, a Series …: [num_samples],
            [num_samples, channels], or [channels, num_samples] with at most eight channels. Integers of 8, 16 or 32
            bits are scaled to [-1, 1), unsigned ones from their middle; floats are taken as they are.
        sample_rate: of `samples`, in Hz.
        channel: take only this channel, counted from 0; without it all are mixed, as those of files.

    Raises:
        AudioError: no samples, NaN, another number of dimensions or type, masked samples, floats that are scaled as
            integers, a rate that no recording has.
    """
    array = checked_array(samples, sample_rate)
    whole = [Piece(0, sample_rate, np.array(floats(array, _NAME)))]
    mono = mixing.mixed(whole) if channel is None else mixing.channel(whole, channel, _NAME, array.shape[1])
    return np.concatenate(list(at_16_khz(mono, _NAME)))


def checked_array(samples: ArrayLike, sample_rate: float) -> NDArray[Any]:
    """Samples as an array [num_samples, channels] of their own type, which `floats` can scale.

    Raises:
        AudioError: as `from_array`, but for NaN.
    """
    check_rate(sample_rate, _NAME)
    array = as_array(samples, _NAME)
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(f"{_NAME}: shape {array.shape} holds no samples; [n] or [n, channels] is wanted.")
    check_type(array, _NAME)
    _check_scale(array)
    array = array[:, None] if array.ndim == 1 else array
    return array.T if array.shape[0] <= min(_MOST_ROWS, array.shape[1] - 1) else array


def check_rate(sample_rate: float, name: str) -> None:
    """Refuse what is no rate of a recording, in Hz.

    Raises:
        AudioError: not a number, or out of range.
    """
    is_number = isinstance(cast(object, sample_rate), Real)
    if not (is_number and RATES_HZ[0] <= sample_rate <= RATES_HZ[1]):
        wanted = f"a number of Hz from {RATES_HZ[0]:,} to {RATES_HZ[1]:,} is wanted"
        raise AudioError(f"{name}: the sample rate is {sample_rate}; {wanted}.")


def as_array(samples: Any, name: str) -> NDArray[Any]:
    """Samples as NumPy has them.

    Raises:
        AudioError: no array, or masked samples.
    """
    if hasattr(samples, "detach"):  # a tensor of torch, which is not imported for it
        samples = samples.detach().cpu()
        # NumPy has no bfloat16.
        samples = samples.float() if samples.is_floating_point() else samples
    try:
        masked = np.ma.getmaskarray(samples).any() if isinstance(samples, np.ma.MaskedArray) else False
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"{name}: not an array of numbers ({error}); pass numbers of one shape.") from error
    if masked:
        raise AudioError(f"{name}: some samples are masked; fill them, for instance with samples.filled(0).")
    return array


def check_type(array: NDArray[Any], name: str) -> None:
    """Refuse samples of a type that has no known scale.

    Raises:
        AudioError: integers of 64 bits, or no real numbers.
    """
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    if kind in "iu" and bits > 32:
        scale = "divide by 32768 if these are 16-bit samples"
        raise AudioError(f"{name}: samples of type {array.dtype} have no known scale; {scale}.")
    if kind not in "iuf":
        raise AudioError(f"{name}: samples of type {array.dtype}; floats or integers of 8 to 32 bits are wanted.")


def _check_scale(array: NDArray[Any]) -> None:
    """Refuse floats with another scale than their type says."""
    if array.dtype.kind == "f":
        peak = float(np.abs(array).max())
        if 1 < peak <= _LARGEST and (array == np.round(array)).all():
            raise AudioError(f"{_NAME}: {scaled_as_integers(peak)}.")
