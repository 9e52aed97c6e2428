from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from speechxfer.cli import main
from speechxfer.model import SpeechModel
from tests.alignment.conftest import model as model  # noqa: PLC0414 - a fixture
from tests.conftest import tone

Run = Callable[..., Result]
PAUSE = np.zeros(8_000, np.float32)


@pytest.fixture
def run(model: SpeechModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("speechxfer.encoders.checkpoints.find", lambda name, **_: name)
    monkeypatch.setattr(SpeechModel, "load", lambda *_names, **_options: model)
    monkeypatch.chdir(tmp_path)
    samples = np.concatenate([PAUSE, tone("abc"), PAUSE, tone("cab"), PAUSE, tone("bab"), PAUSE])
    soundfile.write("a.wav", samples, 16_000)
    return lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)))


def test_words_of_a_literal_text(run: Run) -> None:
    result = run("align", "a.wav", "Abc, cab. Ccc bab!", "--model", "tones", "--characters")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [segment["text"] for segment in found["segments"]] == ["Abc, cab.", "bab!"]
    assert [one["text"] for one in found["segments"][1]["words"][0]["characters"]] == ["b", "a", "b"]
    assert found["matched"] == 0.75
    assert [one["text"] for one in found["mismatches"]] == ["Ccc"]
    assert "75.0% of the words were found" in result.stderr
    assert "not said: 'Ccc'" in result.stderr


def test_files_in_and_out(run: Run, tmp_path: Path) -> None:
    Path("script.txt").write_text("Abc.\nCcc cab bab.\n")
    result = run(
        "align", "a.wav", "script.txt", "--model", "tones", "--format", "srt", "--output", "out.srt",
        "--mismatches", "out.jsonl",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert Path("out.srt").read_text().startswith("1\n00:00:00,5")
    (line,) = Path("out.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "Ccc"
    assert json.loads(line)["origin"] == "script.txt:2"


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (
            ("a.wav", "ccccccc ccaccacc"),
            1,
            "Error: a.wav does not match the text: 0% of the words were found; wanted 50%",
        ),
        (("a.wav", "script.txt"), 1, "Error: script.txt: no such file"),
        (("b.wav", "abc"), 1, "Error: b.wav: "),
        (("a.wav", "abc", "--characters", "--format", "srt"), 2, "--characters is for --format json"),
    ],
)
def test_bad_input(run: Run, arguments: tuple[str, ...], status: int, problem: str) -> None:
    result = run("align", *arguments, "--model", "tones")
    assert result.exit_code == status
    assert problem in result.stderr
    assert "Traceback" not in result.output


def test_a_manifest_of_a_script(run: Run) -> None:
    Path("script.txt").write_text("Abc.\nCcc cab. Bab?\n")
    result = run("manifest", "align", "script.txt", "out.jsonl", "--audio", "a.wav", "--model", "tones")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["Abc.", "Bab?"]
    assert all(row["audio"] == "a.wav" and row["duration"] < 1 for row in rows)
    assert "script.txt:2" in result.stderr
    again = run("manifest", "align", "script.txt", "out.jsonl", "--audio", "a.wav", "--model", "tones")
    assert again.exit_code == 2
    assert "exists already" in again.stderr
