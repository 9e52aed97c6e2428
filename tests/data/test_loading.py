"""Reading the audio of a manifest's lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.cli.terminal import TerminalProgress
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import AudioError
from speechxfer.progress import Progress
from speechxfer.sources import FileSource
from tests.audio.sounds import noise


class Warned(Progress):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def warn(self, message: str, kind: str = "") -> None:
        self.lines.append((kind, message))


def utterance(path: Path, number: int = 1, **columns: int) -> Utterance:
    return Utterance(audio=path.name, source=FileSource.of(path), origin=f"train.jsonl:{number}", **columns)


def cut(path: Path, share: float) -> Path:
    soundfile.write(path, noise(4, seed=len(path.name)), 16_000)
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    return path


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_a_little_short_is_used_with_its_line_in_a_warning(tmp_path: Path, suffix: str) -> None:
    one = utterance(cut(tmp_path / f"cut.{suffix}", 0.95), 7)
    progress = Warned()
    assert 3.5 < len(read(one, progress)) / 16_000 < 3.9
    assert [kind for kind, _ in progress.lines] == ["short"]
    assert progress.lines[0][1].startswith(f"train.jsonl:7: {one.path}: cut short or damaged")
    (strict,) = Manifest([one]).strictly()
    with pytest.raises(AudioError, match=r"^train\.jsonl:7: .*cut short"):
        read(strict)


def test_a_corpus_with_some_files_a_little_short_is_measured(tmp_path: Path) -> None:
    """The first of them does not keep the others from being used."""
    lines = [utterance(cut(tmp_path / f"{number}.wav", 1 - 0.03 * number), number) for number in range(4)]
    manifest = Manifest(lines)
    found = durations_s(manifest, 30.0)
    assert found == pytest.approx([4.0, 3.88, 3.76, 3.64], abs=0.01)
    progress = Warned()
    measured = manifest.with_durations(warn=progress.warn)
    assert [len(read(one)) / 16_000 for one in measured] == pytest.approx(found)
    assert [(kind, line.split(": ")[0]) for kind, line in progress.lines] == [
        ("short", f"train.jsonl:{number}") for number in (1, 2, 3)
    ]
    with pytest.raises(AudioError, match=r"^train\.jsonl:1: .*cut short"):
        durations_s(manifest.strictly(), 30.0)
    with pytest.raises(AudioError, match=r"^train\.jsonl:9: .*cut short"):
        durations_s(Manifest([*lines, utterance(cut(tmp_path / "half.wav", 0.5), 9)]), 30.0)


def test_a_line_names_its_channel(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([noise(1, seed=1), noise(1, seed=2)], axis=1), 16_000, subtype="FLOAT")
    for number in range(2):
        np.testing.assert_allclose(read(utterance(path, audio_channel=number)), noise(1, seed=1 + number), atol=1e-6)
    with pytest.raises(AudioError, match=r"^train\.jsonl:1: .*channel 2 is wanted"):
        read(utterance(path, audio_channel=2))


def test_thousands_of_warnings_are_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    for _ in range(2):  # a file is read in every epoch
        for number in range(1000):
            progress.warn(f"train.jsonl:{number}: short", "short")
    progress.warn("call.mkv: 2 audio streams", "streams")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert lines[0] == "warning: train.jsonl:0: short"
    assert "speechxfer check" in lines[5]
    assert lines[6] == "warning: call.mkv: 2 audio streams"


def test_a_listener_that_knows_no_warnings_is_reported_them() -> None:
    class Said(Progress):
        def log(self, message: str) -> None:
            said.append(message)

    said: list[str] = []
    Said().warn("short", "short")
    assert said == ["short"]
