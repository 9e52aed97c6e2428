"""Synthetic audio without speech, with an empty transcript, from which a decoder learns not to hallucinate."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.sources import FileSource
from speechxfer.storage import replacing

_SHORTEST_S, _LONGEST_S = 0.5, 10.0
#: Levels in dB of full scale: barely audible to loud.
_QUIETEST_DB, _LOUDEST_DB = -70.0, -10.0

_Sound = Callable[[int, np.random.Generator], np.ndarray]


def _silence(size: int, generator: np.random.Generator) -> np.ndarray:
    """Digital silence, or silence in which the last of 16 bits flickers."""
    flicker: np.ndarray = float(generator.choice([0.0, 1e-5])) * generator.standard_normal(size)
    return flicker


def _colored(size: int, generator: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with frequency as 1/f^a, a from 0 (white) to 2 (brown)."""
    spectrum = np.fft.rfft(generator.standard_normal(size))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 20.0)
    return np.fft.irfft(spectrum * frequencies ** (-generator.uniform(0, 2) / 2), size)


def _swelling(size: int, generator: np.random.Generator) -> np.ndarray:
    """Noise with a varying level, like wind, traffic or a crowd."""
    time = np.arange(size) / SAMPLE_RATE
    swell = 1 + 0.9 * np.sin(2 * np.pi * generator.uniform(0.2, 5) * time + generator.uniform(0, 6))
    return _colored(size, generator) * swell


def _hum(size: int, generator: np.random.Generator) -> np.ndarray:
    """A mains frequency with its harmonics, or a dial tone."""
    time = np.arange(size) / SAMPLE_RATE
    tones = [generator.choice([50, 60, 100, 120, 425, 440])]
    tones += [tones[0] * harmonic for harmonic in range(2, 6)]
    return sum((generator.uniform(0, 1) / (n + 1) * np.sin(2 * np.pi * tone * time) for n, tone in enumerate(tones)), np.zeros(size))  # fmt: skip  # noqa: E501


def _chords(size: int, generator: np.random.Generator) -> np.ndarray:
    """A sequence of decaying chords."""
    time, sound, begin = np.arange(size) / SAMPLE_RATE, np.zeros(size), 0
    while begin < size:
        root = 110 * 2 ** (generator.integers(0, 30) / 12)
        rest = time[: size - begin]
        for interval in (0, generator.choice([3, 4]), 7, 12):
            tone = root * 2 ** (interval / 12)
            partials = sum(np.sin(2 * np.pi * tone * k * rest) / k**2 for k in (1, 2, 3))
            sound[begin:] += partials * np.exp(-rest * generator.uniform(1, 6))
        begin += int(generator.uniform(0.15, 0.8) * SAMPLE_RATE)
    return sound


def _knocks(size: int, generator: np.random.Generator) -> np.ndarray:
    """Short bursts at random times, like keys, doors or steps."""
    sound = np.zeros(size)
    for begin in generator.integers(0, size, size=max(1, int(size / SAMPLE_RATE * generator.uniform(0.5, 6)))):
        length = min(int(generator.uniform(0.005, 0.08) * SAMPLE_RATE), size - begin)
        sound[begin : begin + length] += generator.standard_normal(length) * np.exp(-np.linspace(0, 6, length))
    return sound + 0.01 * generator.standard_normal(size)


KINDS: dict[str, _Sound] = {
    "silence": _silence,
    "noise": _colored,
    "swelling noise": _swelling,
    "hum": _hum,
    "chords": _chords,
    "knocks": _knocks,
}


def sound(kind: str, seconds: float, seed: int) -> np.ndarray:
    """Float32 mono at 16 kHz at a random level; deterministic for a seed.

    Raises:
        KeyError: an unknown kind.
    """
    generator = np.random.default_rng(seed)
    size = int(seconds * SAMPLE_RATE)
    wave = KINDS[kind](size, generator) if size else np.empty(0)
    loudest = float(np.abs(wave).max(initial=0.0))
    level = 10 ** (generator.uniform(_QUIETEST_DB, _LOUDEST_DB) / 20)
    if kind != "silence" and loudest > 0:
        wave = wave * (level / loudest)
    return wave.astype(np.float32)


class Margins(NamedTuple):
    """Sounds before and after speech: their seconds, and the seed of their kinds and levels."""

    before_s: float
    after_s: float
    seed: int


def surrounded(waveform: np.ndarray, margins: Margins) -> np.ndarray:
    """Float32 mono at 16 kHz with other sounds before and after it, as a detector of speech may leave them there."""
    generator = random.Random(margins.seed)
    before, after = (
        sound(generator.choice(list(KINDS)), seconds, generator.randrange(2**31))
        for seconds in (margins.before_s, margins.after_s)
    )
    return np.concatenate([before, waveform, after])


def with_non_speech(manifest: Manifest, ratio: float, folder: Path, seed: int) -> Manifest:
    """The manifest with additional utterances of non-speech, whose files are written to `folder`.

    Args:
        manifest: of the training set.
        ratio: additional utterances as a fraction of those in `manifest`.
        folder: for the files; a file that is there already is kept.
        seed: of the random sounds.

    Raises:
        StorageError: a file could not be written.
    """
    import soundfile

    added = []
    for number in range(round(ratio * len(manifest))):
        generator = random.Random(f"{seed}/{number}")
        kind, seconds = generator.choice(list(KINDS)), round(generator.uniform(_SHORTEST_S, _LONGEST_S), 2)
        path = folder / f"{number:05}.flac"
        if not path.is_file():
            with replacing(path) as temporary:
                soundfile.write(temporary, sound(kind, seconds, seed * 1_000_003 + number), SAMPLE_RATE, format="FLAC")
        added.append(
            Utterance(
                audio=path.name,
                source=FileSource.of(path),
                text="",
                duration=seconds,
                origin=str(path),
                extra={"kind": kind},
            )
        )
    return manifest.holding([*manifest, *added])
