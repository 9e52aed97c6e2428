"""`speechxfer compare`, and what `evaluate` leaves for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from speechxfer.cli import main

TEXTS = ["ab c", "ca b", "bb a", "c", "a b", "cc"]


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def hypotheses(path: Path, texts: list[str]) -> str:
    rows = [{"audio": f"test{number}.wav", "hypothesis": text} for number, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """A test set whose audio is not there: comparing files needs none."""
    path = tmp_path / "test.jsonl"
    rows = [{"audio": f"test{number}.wav", "text": text} for number, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_two_files_without_torch(tmp_path: Path, manifest: str) -> None:
    first = hypotheses(tmp_path / "a.jsonl", ["x" for _ in TEXTS])
    second = hypotheses(tmp_path / "b.jsonl", TEXTS)
    code = (
        "import sys\nfrom speechxfer.cli import main\n"
        f"try: main({['compare', first, second, manifest]!r})\nexcept SystemExit as done: assert not done.code\n"
        "sys.exit('imported torch' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["second_is"], found["wins"], found["second"]["errors"]) == ("better", 6, 0)
    assert f"{second} is better than {first}: WER 1.000 -> 0.000" in done.stderr
    assert "utterances that made the difference" in done.stderr


def test_the_json_goes_where_it_is_wanted(tmp_path: Path, manifest: str) -> None:
    file = hypotheses(tmp_path / "a.jsonl", TEXTS)
    result = run("compare", file, file, manifest, "--output", str(tmp_path / "out.json"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No difference: both have as many errors" in result.stderr
    assert json.loads((tmp_path / "out.json").read_text())["bootstrap"]["p"] == 1.0


def test_files_that_do_not_belong_together_are_one_line(tmp_path: Path, manifest: str) -> None:
    whole, part = hypotheses(tmp_path / "a.jsonl", TEXTS), hypotheses(tmp_path / "b.jsonl", TEXTS[:4])
    result = run("compare", whole, part, manifest)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert f"{part} holds 4 hypotheses, {manifest} 6 utterances; 2 have none, first {manifest}:5" in result.stderr
    result = run("compare", whole, str(tmp_path / "c.jsonl"), manifest)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "c.jsonl: no such file" in result.stderr
    result = run("compare", whole, "./no-model", manifest)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


@pytest.fixture
def trained(corpus: Callable[..., Path], spelling_whisper: Path, tmp_path: Path) -> tuple[str, str]:
    """A model that has seen next to nothing, and a manifest for it."""
    train, test = corpus("train", TEXTS), corpus("test", TEXTS)
    rows: list[dict[str, Any]] = [json.loads(line) for line in test.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["room"] = "loud" if number % 2 else "quiet"
    test.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--train", str(train), "--dev", str(test), "--epochs", "1", "--train-top", "0"]
    result = run("finetune", "--model", str(spelling_whisper), *options, "--output", str(tmp_path / "run"))
    assert result.exit_code == 0, result.stderr
    return str(tmp_path / "run" / "model"), str(test)


@pytest.mark.slow
def test_a_model_against_what_it_has_said(trained: tuple[str, str], tmp_path: Path) -> None:
    model, test = trained
    (tmp_path / "words.txt").write_text("c\nca b\n")
    said, scores = tmp_path / "said.jsonl", tmp_path / "scores.json"
    options = ["--slice", "room", "--slice", "duration", "--slice", "snr", "--keywords", str(tmp_path / "words.txt")]
    files = ["--train", test, "--hypotheses", str(said), "--output", str(scores)]
    result = run("evaluate", model, test, *options, *files)
    assert result.exit_code == 0, result.stderr
    found = json.loads(scores.read_text())
    assert found["intervals"]["count"] == len(TEXTS)
    assert {part["value"]: part["utterances"] for part in found["slices"]["room"]} == {"loud": 3, "quiet": 3}
    assert [word["said"] for word in found["keywords"]] == [2, 1]
    assert found["words_by_training"][0]["words"] == 0
    assert sum(row["words"] for row in found["words_by_training"]) == found["words"]
    assert "by room" in result.stderr
    result = run("compare", str(said), model, test)
    assert result.exit_code == 0, result.stderr
    assert "No difference: both have as many errors" in result.stderr


def test_what_cannot_be_sliced_is_reported_before_the_work(manifest: str, tmp_path: Path) -> None:
    for number in range(len(TEXTS)):
        (tmp_path / f"test{number}.wav").write_bytes(b"")
    result = run("evaluate", "./no-model", manifest, "--slice", "gender")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"--slice gender: {manifest} has no such column; wanted one of: duration, snr, words" in result.stderr
    result = run("evaluate", "./no-model", manifest, "--hypotheses", "said.txt")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
