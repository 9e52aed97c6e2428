from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from speechxfer.cli import main


def run(*arguments: object) -> tuple[int, list[str], str]:
    result = CliRunner().invoke(main, ["check", "--workers", "1", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout.splitlines(), result.stderr


@pytest.fixture
def train(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * chance.normal(size=16_000), 16_000)
    rows = [{"audio": f"{number}.wav", "text": f"go {'abcd'[number]}"} for number in range(4)]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_is_in_order(train: Path) -> None:
    assert run(train) == (0, ["4 lines of 1 manifests: 0 errors, 0 warnings, 0 notes"], "")


def test_errors_are_exit_status_1_and_warnings_are_not(train: Path) -> None:
    train.write_text(train.read_text().replace("go a", "go \\u200ba"))
    status, lines, _ = run(train)
    assert status == 0
    assert lines[0].startswith(f"{train}:1: warning: text with invisible or meaningless characters: U+200B zero width")
    (train.parent / "1.wav").write_bytes(b"")
    status, lines, _ = run(train, "--json", train.parent / "found.json")
    assert status == 1
    assert lines[-1] == "4 lines of 1 manifests: 1 error, 1 warning, 0 notes"
    found = json.loads((train.parent / "found.json").read_text())
    assert [(one["kind"], one["line"]) for one in found["findings"]] == [("unicode", 1), ("unreadable", 2)]
    assert found["lines"] == {str(train): 4}


def test_many_of_a_kind_are_shortened(train: Path) -> None:
    train.write_text("".join(f'{{"audio": "gone{number}.wav", "text": "go {number}"}}\n' for number in range(14)))
    status, lines, _ = run(train, "--quick")
    assert (status, len(lines)) == (1, 12)
    assert lines[10] == f"{train}: … and 4 more [missing]"
    assert len(run(train, "--quick", "--all")[1]) == 15


def test_fix(train: Path) -> None:
    (train.parent / "1.wav").write_bytes(b"")
    before = train.read_bytes()
    status, lines, _ = run(train, "--fix")
    assert status == 1
    assert lines[-2].endswith("train.clean.jsonl: 3 lines, 0 of them with repaired text, 1 in train.quarantine.jsonl")
    assert train.read_bytes() == before
    assert run(train.with_name("train.clean.jsonl"))[0] == 0
    status, _, error = run(train, "--fix")
    assert status == 2
    assert "train.clean.jsonl: exists already; add --overwrite" in error
    assert run(train, "--fix", "--overwrite")[0] == 1


def test_wrong_use(tmp_path: Path) -> None:
    assert run()[0] == 2
    status, _, error = run(tmp_path / "none.jsonl")
    assert status == 1
    assert "none.jsonl: no such file" in error
    (tmp_path / "a.jsonl").write_text('{"audio": "a.wav"}\n')
    assert "normalizer 'basci' is not known" in run(tmp_path / "a.jsonl", "--normalizer", "basci")[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "ray", "--workers", "2"], "--workers are processes of this machine; pass --actors"),
        (["--address", "auto"], "--address and --actors are for --engine ray"),
    ],
)
def test_options_that_do_not_fit_are_refused(train: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["check", str(train), *options])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
