from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner, Result

from speechxfer.cli.transcribe import recording_progress, transcribe
from speechxfer.errors import AudioError, ConfigError
from speechxfer.transcription import Segment, Transcript


class FakeModel:
    """Says what it was loaded and called with; a file that holds `bad` is no sound to it."""

    name = ""

    @classmethod
    def load(cls, name: str, *, device: str) -> FakeModel:
        if name == "missing":
            raise ConfigError("no such model")
        model = cls()
        model.name = f"{name}/{device}"
        return model

    def transcribe(
        self,
        source: Path | bytes,
        *,
        language: str | None = None,
        progress: Callable[[float], None] | None = None,
        **reading: Any,
    ) -> Transcript:
        assert progress is None, "stderr is no terminal"
        content = source if isinstance(source, bytes) else source.read_bytes()
        if content == b"bad":
            raise AudioError(f"{source!s}: not readable")
        text = f"{self.name} {language} {content.decode()}"
        return Transcript(text, (Segment(0.0, 1.0, text),), 1.0)


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "speechxfer.model", SimpleNamespace(SpeechModel=FakeModel))
    monkeypatch.setattr("speechxfer.encoders.checkpoints.find", lambda name: name)
    monkeypatch.chdir(tmp_path)
    for name, content in {"a.wav": "one", "b.wav": "two", "deep/a.wav": "three"}.items():
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(transcribe, ["m", *arguments], input=stdin)


def test_one_input_prints_its_transcript() -> None:
    result = run("calls/a.wav", "--language", "de", "--device", "cpu")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "m/cpu de one\n", "")


def test_standard_input() -> None:
    assert run("-", stdin=b"bytes").stdout == "m/auto None bytes\n"


def test_several_inputs_print_a_line_each() -> None:
    assert run("calls/*.wav").stdout == "calls/a.wav: m/auto None one\ncalls/b.wav: m/auto None two\n"


def test_several_inputs_as_json_print_an_object_each() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in run("calls", "--format", "json").stdout.splitlines()]
    assert [line["source"] for line in lines] == ["calls/a.wav", "calls/b.wav", "calls/deep/a.wav"]


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_several_inputs_as_subtitles_need_a_folder(name: str) -> None:
    result = run("calls", "--format", name)
    assert result.exit_code == 2
    assert "--output-dir" in result.stderr
    assert run("calls/a.wav", "--format", name).exit_code == 0


def test_files_are_written_in_the_folders_they_came_from() -> None:
    result = run("calls", "--output-dir", "out", "--format", "srt")
    assert (result.exit_code, result.output) == (0, "")
    written = sorted(path.as_posix() for path in Path("out").rglob("*") if path.is_file())
    assert written == ["out/a.srt", "out/b.srt", "out/deep/a.srt"]
    assert Path("out/deep/a.srt").read_text().endswith("three\n")


def test_colliding_outputs_are_refused_before_any_work() -> None:
    result = run("calls/a.wav", "calls/deep/a.wav", "--output-dir", "out")
    assert isinstance(result.exception, ConfigError)
    assert not Path("out").exists()


def test_a_bad_file_does_not_stop_the_others() -> None:
    Path("calls/a.wav").write_text("bad")
    result = run("calls/*.wav")
    assert result.exit_code == 1
    assert result.stdout == "calls/b.wav: m/auto None two\n"
    assert result.stderr == "Error: calls/a.wav: not readable\n"


def test_errors_of_no_single_file_stop_everything() -> None:
    assert isinstance(run("gone/*.wav").exception, ConfigError)
    result = CliRunner().invoke(transcribe, ["missing", "calls"])
    assert isinstance(result.exception, ConfigError)


def test_inputs_are_wanted() -> None:
    assert run().exit_code == 2


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    sf.write("a.wav", np.zeros(16_000), 16_000)
    with recording_progress("[a]", Path("a.wav")) as progress:
        assert progress
        progress(0.5)
    captured = capsys.readouterr()
    assert "[a]" in captured.err
    assert captured.out == ""
