"""Vowels of a speaking voice with consonants between them: speech to a network, without words."""

import numpy as np
from scipy.signal import lfilter

from speechxfer.audio import SAMPLE_RATE, Waveform

_FORMANTS_HZ = [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]
_BANDWIDTHS_HZ = (80, 90, 120)


def speech(seconds: float, level: float = 0.4, seed: int = 0) -> Waveform:
    """Float32 mono 16 kHz."""
    generator = np.random.default_rng(seed)
    size, parts = round(seconds * SAMPLE_RATE), [np.empty(0)]
    while sum(map(len, parts)) < size:
        consonant = 0.1 * np.diff(generator.normal(size=round(generator.uniform(0.03, 0.08) * SAMPLE_RATE)), prepend=0)
        parts += [consonant * np.hanning(len(consonant)), _vowel(round(generator.uniform(0.12, 0.22) * SAMPLE_RATE), generator)]  # fmt: skip  # noqa: E501
    return (level * np.concatenate(parts)[:size]).astype(np.float32)


def _vowel(size: int, generator: np.random.Generator) -> np.ndarray:
    pitch_hz = generator.uniform(100, 150) * np.linspace(1, 0.9, size)
    sound = np.diff(np.floor(np.cumsum(pitch_hz) / SAMPLE_RATE), prepend=0) + 0.003 * generator.normal(size=size)
    for formant, bandwidth in zip(_FORMANTS_HZ[generator.integers(5)], _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth / SAMPLE_RATE)
        cosine = np.cos(2 * np.pi * formant / SAMPLE_RATE)
        sound = lfilter([1 - radius], [1, -2 * radius * cosine, radius**2], sound)
    return sound / np.abs(sound).max() * np.hanning(size) ** 0.3
