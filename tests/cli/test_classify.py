from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from speechxfer.cli.classify import classify
from speechxfer.data.manifest import Manifest
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import AudioError, ConfigError
from speechxfer.sources import AudioSource


class FakeModel:
    """Finds a digit in what it is given; a file that holds `bad` is no sound to it."""

    @classmethod
    def load(cls, name: str, *, device: str) -> FakeModel:
        if name == "missing":
            raise ConfigError("no such model")
        assert device in ("auto", "cpu")
        return cls()

    def classify(
        self, source: Path | AudioSource, *, progress: Callable[[float], None] | None = None, **reading: object
    ) -> Classification:
        content = source.contents() if isinstance(source, AudioSource) else source.read_bytes()
        assert isinstance(content, bytes)
        if content == b"bad":
            raise AudioError(f"{source!s}: not readable")
        names = ("one", "three", "two", "zero, or oh")
        chosen = names.index(content.decode())
        shares = tuple(0.7 if number == chosen else 0.1 for number in range(4))
        return Classification(names, shares)


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechxfer.api.loading.load", FakeModel.load)
    monkeypatch.chdir(tmp_path)
    for name, content in {"a.wav": "one", "b.wav": "two", "deep/a.wav": "zero, or oh"}.items():
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(classify, ["m", *arguments], input=stdin)


def test_one_input_prints_a_class_a_line() -> None:
    result = run("calls/b.wav", "--device", "cpu")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "0.700  two\n0.100  one\n0.100  three\n", "")


def test_standard_input() -> None:
    assert run("-", "--top", "1", stdin=b"three").stdout == "0.700  three\n"


def test_several_inputs_print_a_line_each() -> None:
    result = run("calls/*.wav", "--top", "2")
    assert result.stdout == "calls/a.wav: one 0.700, three 0.100\ncalls/b.wav: two 0.700, one 0.100\n"


def test_json() -> None:
    alone = json.loads(run("calls/a.wav", "--format", "json", "--top", "1").stdout)
    assert alone == {"source": "calls/a.wav", "label": "one", "classes": [{"label": "one", "probability": 0.7}]}
    lines = [json.loads(line) for line in run("calls", "--format", "json").stdout.splitlines()]
    assert [(line["source"], line["label"], len(line["classes"])) for line in lines] == [
        ("calls/a.wav", "one", 3),
        ("calls/b.wav", "two", 3),
        ("calls/deep/a.wav", "zero, or oh", 3),
    ]


def test_csv_is_a_table_and_a_manifest() -> None:
    result = run("calls", "--format", "csv", "--top", "9")
    header, *rows = csv.reader(result.stdout.splitlines())
    assert header == ["audio", "label", *(f"{name}_{n}" for n in range(1, 5) for name in ("top", "probability"))]
    assert rows[2][:4] == ["calls/deep/a.wav", "zero, or oh", "zero, or oh", "0.7000"]
    Path("found.csv").write_text(result.stdout)
    assert [utterance.label for utterance in Manifest.read("found.csv")] == ["one", "two", "zero, or oh"]


def test_a_bad_file_does_not_stop_the_others() -> None:
    Path("calls/a.wav").write_text("bad")
    result = run("calls/*.wav", "--top", "1", "--format", "csv")
    assert result.exit_code == 1
    assert result.stdout == "audio,label,top_1,probability_1\ncalls/b.wav,two,two,0.7000\n"
    assert result.stderr == "Error: calls/a.wav: not readable\n1 of 2 recordings failed:\n  calls/a.wav\n"


def test_names_stay_on_their_lines() -> None:
    name = os.fsdecode(b"a\nb\xe9.wav")
    Path(name).write_text("one")
    assert run(name, "calls/a.wav", "--top", "1").stdout.splitlines()[0] == "a\\nb\\xe9.wav: one 0.700"
    assert json.loads(run(name, "--format", "json").stdout)["source"] == "a\nb\\xe9.wav"


def test_errors_of_no_single_file_stop_everything() -> None:
    assert isinstance(run("gone/*.wav").exception, ConfigError)
    assert isinstance(CliRunner().invoke(classify, ["missing", "calls"]).exception, ConfigError)
    assert run("calls", "--top", "0").exit_code == 2
    assert run().exit_code == 2
