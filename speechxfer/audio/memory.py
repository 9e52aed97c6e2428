"""Samples in memory as a recording like any other."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike

from speechxfer.audio.arrays import checked_array
from speechxfer.audio.pieces import floats
from speechxfer.errors import AudioError
from speechxfer.sources import AudioSource, BytesSource, memory_name, source_at

#: NumPy's types that WAV holds as they are; all others become float32.
_SUBTYPES = {"int16": "PCM_16", "int32": "PCM_32"}


class ArraySource(AudioSource):
    """Samples in memory, which are neither copied nor to be changed.

    Args:
        samples: as `audio.from_array` takes them: [num_samples], [num_samples, channels] or [channels, num_samples].
        sample_rate: of `samples`, in Hz, a whole number.

    Raises:
        AudioError: as `audio.from_array`.
    """

    __slots__ = ("_name", "sample_rate", "samples")

    def __init__(self, samples: ArrayLike, sample_rate: int) -> None:
        self.samples = checked_array(samples, sample_rate)
        if isinstance(sample_rate, bool) or sample_rate != int(sample_rate):
            raise AudioError(f"<array>: the sample rate is {sample_rate}; a whole number of Hz is wanted.")
        self.sample_rate = int(sample_rate)
        self._name = memory_name(self.digest())

    @property
    def name(self) -> str:
        """`memory:` and its digest."""
        return self._name

    def contents(self) -> bytes:
        """A WAV file with the same samples: integers as they are, floats as float32."""
        subtype, file = _SUBTYPES.get(self.samples.dtype.name), io.BytesIO()
        samples = self.samples if subtype else floats(self.samples, self.name)
        soundfile.write(file, samples, self.sample_rate, format="WAV", subtype=subtype or "FLOAT")
        return file.getvalue()

    def digest(self) -> str:
        """Of the samples: a WAV file of floats also holds the time of writing."""
        about = (self.sample_rate, self.samples.dtype.str, self.samples.shape)
        digest = hashlib.blake2b(repr(about).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.samples).data)
        return digest.hexdigest()


def source_of(audio: Any, sample_rate: Any = None) -> AudioSource:
    """The recording that a value stands for: a source, a path, bytes, or an array with its sample rate.

    Raises:
        AudioError: it is none of these, or an array without a rate.
    """
    if isinstance(audio, AudioSource):
        return audio
    if isinstance(audio, str | os.PathLike):
        return source_at(Path(audio).expanduser())
    if isinstance(audio, bytes | bytearray):
        return BytesSource(bytes(audio))
    if sample_rate is None:
        raise AudioError(f"<{type(audio).__name__}>: a path, bytes, or an array with its sample_rate is wanted")
    return ArraySource(audio, sample_rate)
