"""The table of formats and the fuzzer find what they look for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from scripts import audio_formats, fuzz_audio
from scripts.audio_files import FORMS, Form, speech_like, write
from speechxfer import audio
from speechxfer.errors import AudioError


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write(tmp_path / "sound.wav", Form("wav", "WAV", "PCM_16"), speech_like(audio_formats.SECONDS, 16_000))


def test_a_format_that_is_read_whole_is_right(wav: Path) -> None:
    row = audio_formats.read(wav, FORMS[1])
    assert row.is_right
    assert str(row) == "| wav | WAV / PCM_16 | 16000 | 1 | +0 | +0.0 | +0.0 | +0.0 |"


@pytest.mark.parametrize("lost", ["end", "time"])
def test_a_format_that_loses_something_is_wrong(wav: Path, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load = audio.load

    def losing(path: Path, **excerpt: float) -> np.ndarray:
        if lost == "end":
            return load(path, **excerpt)[: 5 * 16_000]
        return np.roll(load(path, **excerpt), 100 if excerpt else 0)

    monkeypatch.setattr(audio, "load", losing)
    assert not audio_formats.read(wav, FORMS[1]).is_right


def test_a_mutation_is_made_from_its_number() -> None:
    files = [(form, bytes(range(256)) * 20) for form in FORMS[:3]]
    first, again = ([fuzz_audio.mutated(files, number, 1) for number in range(30)] for _ in range(2))
    assert first == again
    assert len({content for _, content in first}) > 25
    assert fuzz_audio.mutated(files, 3, 2) != first[3]


def test_violations_are_seen(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz_audio.read(1, "wav", wav).kind == "read"
    monkeypatch.setattr(audio, "blocks", lambda _path: iter([np.zeros(1)]))
    assert fuzz_audio.read(1, "wav", wav).kind == "wrong"

    for error, kind in ((AudioError("no"), "refused"), (ValueError("no"), "raised")):
        monkeypatch.setattr(audio, "load", Mock(side_effect=error))
        outcome = fuzz_audio.read(1, "wav", wav)
        assert outcome.kind == kind
        assert outcome.is_violation == (kind != "refused")


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory in /proc")
@pytest.mark.slow
def test_some_damaged_files_are_read_or_refused() -> None:
    command = [sys.executable, "-m", "scripts.fuzz_audio", "--count", "102", "--seed", "1", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| all | 102 |" in done.stdout
