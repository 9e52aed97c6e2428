"""What detectors take for speech, and that they read a stream of any length as one."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.data.non_speech import KINDS
from speechxfer.errors import ConfigError
from speechxfer.inference.segmenting import segments
from speechxfer.inference.silence import HOP, audible
from speechxfer.inference.voice_activity import CHOICES, SOUND, detector, silero
from speechxfer.registry import MissingPackageWarning
from tests.inference.synthetic_speech import speech

ALL = ["silero", "energy", "none"]


def sound(kind: str, seconds: float, level: float = 0.1, seed: int = 0) -> Waveform:
    wave = KINDS[kind](round(seconds * SAMPLE_RATE), np.random.default_rng(seed))
    return (level * wave / max(float(np.sqrt(np.mean(np.square(wave)))), 1e-9)).astype(np.float32)


def chopped(waveform: Waveform, size: int) -> Iterator[Waveform]:
    for at in range(0, len(waveform), size):
        yield waveform[at : at + size]


def flags(waveform: Waveform, name: str, size: int = SAMPLE_RATE) -> np.ndarray:
    marked = list(detector(name).mark(chopped(waveform, size)))
    assert np.array_equal(np.concatenate([np.empty(0, np.float32), *(samples for samples, _ in marked)]), waveform)
    assert all(len(found) == -(-len(samples) // HOP) for samples, found in marked)
    return np.concatenate([np.empty(0, bool), *(found for _, found in marked)])


@pytest.mark.parametrize("name", ["silero", "energy"])
@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_steady_noise_is_no_speech(name: str, kind: str) -> None:
    found = segments([sound(kind, 20, level=0.03)], max_segment_s=28, detector=detector(name))
    assert sum(piece.duration for piece in found) < 1


@pytest.mark.parametrize("kind", ["chords", "hum", "knocks", "swelling noise"])
def test_other_sounds_are_no_speech_to_the_network(kind: str) -> None:
    assert flags(sound(kind, 8), "silero").mean() < 0.05


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("level", [0.4, 0.02, 0.002])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_speech_is_found_whatever_its_level(name: str, level: float, offset: float) -> None:
    waveform = np.concatenate([np.zeros(4 * SAMPLE_RATE), speech(5, level), np.zeros(4 * SAMPLE_RATE)]) + offset
    found = flags(waveform.astype(np.float32), name)
    assert found[400:900].mean() > (0.3 if name == "energy" else 0.6)
    assert found[:380].sum() + found[920:].sum() == 0


@pytest.mark.parametrize("name", ["silero", "energy"])
def test_speech_in_noise_is_found(name: str) -> None:
    waveform = sound("noise", 20, level=0.005)
    waveform[8 * SAMPLE_RATE : 12 * SAMPLE_RATE] += speech(4, 0.2)
    found = list(segments([waveform], max_segment_s=28, detector=detector(name)))
    covered = sum(max(0.0, min(piece.end, 11.8) - max(piece.start, 8.2)) for piece in found)
    assert covered > 3.4
    assert sum(piece.duration for piece in found) < 6


def test_clipped_speech_is_speech_to_the_network() -> None:
    assert flags(np.clip(speech(5, 4), -1, 1), "silero").mean() > 0.6


@settings(max_examples=15, deadline=None)
@given(st.integers(100, 60_000), st.floats(0.001, 9))
@pytest.mark.parametrize("name", ALL)
def test_the_lengths_of_the_blocks_do_not_matter(name: str, size: int, seconds: float) -> None:
    waveform = np.concatenate([sound("noise", 1, 0.001), speech(3, 0.2), sound("knocks", 5)])[: round(seconds * 16_000)]
    assert np.array_equal(flags(waveform, name, size), flags(waveform, name, 200_000))


def test_silence_is_left_out_as_a_whole_recording_would_be() -> None:
    generator = np.random.default_rng(0)
    waveform = (generator.normal(size=200_000) * (generator.random(200_000 // 80) < 0.02).repeat(80)).astype(np.float32)
    assert np.array_equal(flags(waveform, "none", 7_777), audible(waveform))


@pytest.mark.parametrize("name", ALL)
def test_a_short_clip_is_passed_on_whole(name: str) -> None:
    for seconds in (0.1, 0.4):
        waveform = speech(seconds)
        (piece,) = segments([waveform], max_segment_s=28, detector=detector(name))
        assert np.array_equal(piece.waveform, waveform)


def test_levels_take_the_place_of_a_network_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silero.write_files(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "silero_vad" else find(name))
    with pytest.warns(MissingPackageWarning, match="pip install --no-deps silero-vad"):
        assert detector("auto") is detector("energy")
    with pytest.raises(ConfigError, match="pip install --no-deps silero-vad"):
        detector("silero")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert detector("none") is SOUND
        assert detector("auto", tmp_path / silero.NETWORK_FILE) is not detector("energy")
    assert "MIT License" in (tmp_path / silero.LICENSE_FILE).read_text()


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="vad is 'loud'; wanted one of auto, silero, energy, none"):
        detector("loud")
    assert [detector(name) for name in CHOICES]
