"""What older and newer versions wrote is read, or refused in one line that says what to do (docs/how-to/install.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from speechxfer.cli import main
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import SpeechxferError
from speechxfer.opening import open_checkpoint
from speechxfer.runs import RunFolder
from speechxfer.runtime.folder import Description

#: As the first versions wrote them, without weights.
EXPORTED: dict[str, Any] = {
    "format": 1, "head": {"kind": "ctc"}, "quantization": "int8", "sample_rate": 16000, "block": 320, "least_blocks": 2,
    "max_duration_s": None, "fixed_duration_s": 30.0, "language": "it", "source": "a", "calibration": {"slope": 1.5},
}  # fmt: skip


def test_an_export_of_the_first_format_is_read(tmp_path: Path) -> None:
    (tmp_path / "exported.json").write_text(json.dumps(EXPORTED))
    found = Description.read(tmp_path)
    assert (found.block, found.fixed_duration_s) == (320, 30.0)
    assert found.calibration is not None
    assert found.calibration.slope == 1.5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**EXPORTED, "format": 2}, "is of format 2, and this version of speechxfer reads up to 1; install a newer"),
        ({**EXPORTED, "format": "1"}, "is damaged (format is '1'; wanted a whole number); export the model again"),
        ({"format": 1}, "is damaged (lacks head); export the model again"),
    ],
)
def test_another_export_is_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    (tmp_path / "exported.json").write_text(json.dumps(content))
    with pytest.raises(SpeechxferError) as refused:
        Description.read(tmp_path)
    assert message in str(refused.value)


@pytest.mark.parametrize("version", [1, 3, None])
def test_a_saved_model_of_another_format_is_refused(tmp_path: Path, version: int | None) -> None:
    (tmp_path / "speechxfer.json").write_text(json.dumps({"format": version, "encoder": {}, "head": {}}))
    (tmp_path / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    with pytest.raises(SpeechxferError, match=r"speechxfer\.json: format .* but this version reads format 2; upgrade"):
        open_checkpoint(find(str(tmp_path)))


def test_a_run_of_the_first_layout_names_what_can_still_be_used(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text('model = "m"\ntrain = "a.jsonl"\ndev = "b.jsonl"\noutput = "run"\n')
    (run / "before.json").write_text("{}")
    ended = CliRunner().invoke(main, ["report", str(run)])
    assert ended.exit_code == 2
    assert ended.stderr.count("\n") == 1
    assert f"{run / 'model'} can still be used" in ended.stderr


def test_a_run_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"version": 9, "trained": 1}))
    with pytest.raises(SpeechxferError, match=r"plan\.json: is of version 9, .* reads 1; upgrade it"):
        _ = RunFolder(tmp_path).plan


def test_an_old_name_of_a_setting_is_answered_with_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[seq2seq]\nlanguage = "it"\n')
    ended = CliRunner().invoke(main, ["finetune", "--config", str(tmp_path / "a.toml")])
    assert ended.exit_code == 2
    assert "seq2seq.language is now language" in ended.stderr
