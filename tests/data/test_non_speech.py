from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from speechxfer import audio
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.non_speech import KINDS, sound, with_non_speech


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_sound_that_can_be_repeated(kind: str) -> None:
    first = sound(kind, 1.5, seed=1)
    assert first.dtype == np.float32
    assert first.shape == (24_000,)
    assert np.isfinite(first).all()
    assert np.abs(first).max() < 0.5
    assert np.array_equal(first, sound(kind, 1.5, seed=1))
    if kind != "silence":
        assert np.abs(first).max() > 1e-4
        assert not np.array_equal(first, sound(kind, 1.5, seed=2))


def test_a_share_is_added_and_written_once(tmp_path: Path) -> None:
    speech = Manifest([Utterance(audio="a.wav", text="a")] * 40, Path("train.jsonl"))
    more = with_non_speech(speech, 0.25, tmp_path, seed=3)
    assert len(more) == 50
    assert [utterance.text for utterance in more][40:] == [""] * 10
    assert len({utterance.extra["kind"] for utterance in more[40:]}) > 2
    for utterance in more[40:]:
        assert len(audio.load(utterance.path)) == pytest.approx(16_000 * (utterance.duration or 0), abs=1)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert list(with_non_speech(speech, 0.25, tmp_path, seed=3)) == list(more)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    assert with_non_speech(speech, 0.0, tmp_path, seed=3).path == speech.path
