"""Copies of the training audio at other speeds, with other sound around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import speechxfer as sx
from speechxfer.data.non_speech import Margins, surrounded
from speechxfer.encoders.checkpoints import find
from speechxfer.opening import open_checkpoint
from speechxfer.training.frozen_cache import Sounds
from speechxfer.training.inputs import Copies
from tests.training.conftest import Runs, interrupted

RATE = 16_000


@pytest.fixture
def copies(runs: Runs, whisper_folder: Path) -> Copies:
    encoder = open_checkpoint(find(str(whisper_folder))).encoder
    return Copies(sx.Manifest.read(Path(runs.base["dev"])).with_durations(), encoder, 2, seed=1, margin_s=0.3)


def test_copies_are_as_long_as_their_speech_and_margins(copies: Copies) -> None:
    whole, *others = copies.keys[:3]
    assert (whole, copies.margins(whole)) == ((0, 1.0), None)
    for key in others:
        margins = copies.margins(key)
        assert margins is not None
        assert 0.0 <= min(margins[:2]) < max(margins[:2]) <= 0.3
        waveform = copies.waveforms([key])[0]
        assert waveform.dtype == np.float32
        assert len(waveform) / RATE == pytest.approx(copies.duration_s(key), abs=1e-3)
    assert copies.margins(others[0]) != copies.margins(others[1])


def test_a_copy_is_the_same_in_every_process_and_has_a_name_of_its_own(copies: Copies) -> None:
    key = copies.keys[1]
    again = Copies(copies.manifest.holding([copies.manifest[0]]), copies._encoder, 2, seed=2, margin_s=0.3)
    assert np.array_equal(copies.waveforms([key])[0], again.waveforms([key])[0])
    names = {Sounds().digest(copies.manifest[0], key[1], margins) for margins in (None, copies.margins(key))}
    assert len(names) == 2


def test_one_that_would_be_longer_than_the_encoder_takes_is_left_out(copies: Copies) -> None:
    encoder = copies._encoder
    encoder.max_duration_s = copies.duration_s((0, 1.0)) / 0.9 + 0.5
    kept = Copies(copies.manifest, encoder, 2, seed=1, margin_s=0.3)
    assert (0, 0.9) not in kept.keys
    assert (0, 1.1) in kept.keys


def test_what_is_around_is_no_part_of_the_speech() -> None:
    speech = np.linspace(-1, 1, RATE, dtype=np.float32)
    for seed in range(40):
        margins = Margins(0.2, 1e-6 if seed % 2 else 0.05, seed)
        found = surrounded(speech, margins)
        before = int(0.2 * RATE)
        assert np.array_equal(found[before : before + RATE], speech)
        assert np.abs(found[:before]).max() < 0.4


@pytest.mark.slow
def test_a_run_with_margins_is_resumed_exactly(runs: Runs) -> None:
    layer = {"training": {"speed_copies": 2, "cache": "disk"}, "augment": {"margin_seconds": 0.2}}
    runs.run("whole", layer)
    interrupted(runs, "broken", 7, layer)
    runs.run("broken", layer, resume=True)
    assert runs.metrics("broken") == runs.metrics("whole")
    runs.run("without", layer, {"augment": {"margin_seconds": 0.0}})
    assert runs.losses("without") != runs.losses("whole")
