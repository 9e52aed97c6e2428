"""A model whose decoder always writes something is not asked about silence, wherever it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import speechxfer as sx
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.training.measuring import _of_sound

SILENCE = np.zeros(32_000, np.float32)
SOUND = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)


@pytest.fixture
def model(spelling_whisper: Path, monkeypatch: pytest.MonkeyPatch) -> sx.SpeechModel:
    model = sx.load(str(spelling_whisper), device="cpu")

    def decode(hidden_states: np.ndarray, *_arguments: object, **_options: object) -> Sequence[Prediction]:
        return [Hypothesis("you", (), 0.9)] * len(hidden_states)

    monkeypatch.setattr(model.head, "decode", decode)
    return model


@pytest.fixture
def manifest(tmp_path: Path) -> sx.Manifest:
    for name, samples in {"sound": SOUND, "silence": SILENCE}.items():
        sf.write(tmp_path / f"{name}.wav", samples, 16_000)
    lines = '{"audio": "silence.wav", "text": ""}\n{"audio": "sound.wav", "text": "a"}\n'
    (tmp_path / "test.jsonl").write_text(lines)
    return sx.Manifest.read(tmp_path / "test.jsonl")


def test_in_transcribe_and_predict(model: sx.SpeechModel) -> None:
    assert model.transcribe(SILENCE, sample_rate=16_000).text == ""
    assert model.transcribe(SOUND, sample_rate=16_000, vad="none").text == "you"
    assert model.predict([SILENCE, SOUND, SILENCE]) == [Hypothesis(""), Hypothesis("you", (), 0.9), Hypothesis("")]
    assert model.predict([SILENCE]) == [Hypothesis("")]
    assert model.predict([]) == []


def test_in_evaluate(model: sx.SpeechModel, manifest: sx.Manifest) -> None:
    found = {one.utterance.audio: one.hypothesis for one in sx.evaluate(model, manifest).results}
    assert found == {"silence.wav": "", "sound.wav": "you"}


def test_in_the_decoding_of_dev(manifest: sx.Manifest) -> None:
    written: list[Prediction] = [Hypothesis("you"), Hypothesis("you")]
    assert _of_sound(written, manifest, [1, 0]) == [Hypothesis("you"), Hypothesis("")]
