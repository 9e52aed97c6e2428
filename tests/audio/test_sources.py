"""Recordings as objects."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechxfer import audio
from speechxfer.audio import reading, source_of
from speechxfer.errors import AudioError
from speechxfer.sources import AudioSource, BytesSource, FileSource, LostSource
from tests.audio.sounds import noise


@pytest.fixture
def file(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", noise(1.0), 16_000)
    return tmp_path / "a.wav"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was opened, in order."""
    names: list[Any] = []
    original = reading.opened

    def counted(source: Any, choice: Any) -> Any:
        names.append(getattr(source, "name", source))
        return original(source, choice)

    monkeypatch.setattr(reading, "opened", counted)
    return names


def test_a_header_is_read_once_for_each_version_of_a_file(file: Path, opened: list[Any]) -> None:
    source = FileSource.of(file)
    assert audio.info(source) == audio.info(FileSource.of(file)) == audio.info(pickle.loads(pickle.dumps(source)))
    assert opened == [str(file)]
    soundfile.write(file, noise(2.0), 16_000)
    os.utime(file, ns=(1, 1))
    assert audio.info(source).duration == 2.0
    assert len(opened) == 2


def test_what_was_noticed_and_what_failed_is_repeated(tmp_path: Path, file: Path, opened: list[Any]) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) - 6_000])
    source, seen = FileSource.of(file), []
    for _ in range(2):
        audio.info(source, notify=lambda notice: seen.append(str(notice)))
    assert len(seen) == 2
    assert seen[0] == seen[1]
    (tmp_path / "b.wav").write_bytes(b"no sound")
    broken = FileSource.of(tmp_path / "b.wav")
    for _ in range(2):
        with pytest.raises(AudioError, match=r"b\.wav"):
            audio.info(broken)
    assert len(opened) == 2


@pytest.mark.parametrize(
    "made",
    [
        lambda samples: samples,
        lambda samples: samples.astype(np.float64),
        lambda samples: (samples * 30_000).astype(np.int16),
        lambda samples: (samples * 100).astype(np.int8),
        lambda samples: np.stack([samples, samples], axis=1),
        lambda samples: np.stack([samples, samples]),
    ],
)
def test_an_array_sounds_as_from_array_says(made: Callable[[Any], Any]) -> None:
    samples = made(noise(1.0, 8_000).astype(np.float32))
    source = source_of(samples, 8_000)
    np.testing.assert_array_equal(audio.load(source), audio.from_array(samples, 8_000))
    assert audio.info(source).duration == 1.0
    assert source_of(samples.copy(), 8_000).name == source.name
    assert source_of(samples.copy(), 16_000).name != source.name


def test_bytes_are_the_file_that_they_are(file: Path) -> None:
    source = source_of(file.read_bytes())
    assert isinstance(source, BytesSource)
    np.testing.assert_array_equal(audio.load(source, start=0.25), audio.load(file, start=0.25))
    assert source.digest() == FileSource.of(file).digest()
    assert source.name == f"memory:{source.digest()}"


def test_two_methods_make_a_source(file: Path) -> None:
    class Cell(AudioSource):
        """As the cell of a table would be."""

        name = "table.parquet:7"

        def __init__(self) -> None:
            self.opened = 0

        def contents(self) -> bytes:
            return file.read_bytes()

    assert audio.info(Cell()).duration == 1.0
    assert Cell().digest() == FileSource.of(file).digest()
    np.testing.assert_array_equal(audio.load(Cell()), audio.load(file))


def test_problems_are_said_before_decoding(tmp_path: Path) -> None:
    assert str(FileSource.of(tmp_path / "none.wav").problem()).startswith("no such file")
    assert "pass the same data again" in str(LostSource("memory:12").problem())
    with pytest.raises(AudioError, match=r"memory:12: the sound was in memory"):
        audio.load(LostSource("memory:12"))


@pytest.mark.parametrize(
    ("value", "rate", "message"),
    [
        (np.zeros(8, np.float32), None, "with its sample_rate"),
        (np.zeros(8, np.float32), 16_000.5, "a whole number of Hz"),
        ("a", True, ""),
        (np.zeros(8, np.int64), 16_000, "no known scale"),
        (12, 16_000, "holds no samples"),
    ],
)
def test_wrong_values_say_what_is_wanted(value: Any, rate: Any, message: str) -> None:
    if not message:
        assert isinstance(source_of(value, rate), FileSource)
        return
    with pytest.raises(AudioError, match=message):
        source_of(value, rate)
