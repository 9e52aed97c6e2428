"""`RunFolder`: what is written is read again, and what cannot be read is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speechxfer.config import FinetuneConfig
from speechxfer.errors import ConfigError, DataError
from speechxfer.runs import (
    Environment,
    InterpolationCurve,
    InterpolationPoint,
    PlanTable,
    RunFolder,
    Sources,
    Split,
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_config(FinetuneConfig(model="m", train="t.jsonl", dev="d.jsonl", output=str(folder)))
    return folder


def test_all_files_are_read_as_they_were_written(run: RunFolder) -> None:
    plan = PlanTable(1, 2, ["part"], [["head"]])
    environment = Environment({"torch": "2"}, "speechxfer finetune")
    sources = Sources("abc", {"train": Split("def", 3, 1.5, 4, 2, "it")})
    curve = InterpolationCurve((InterpolationPoint(0.0, {"wer": 1.0}), InterpolationPoint(1.0, {"wer": 0.5}, {"wer": 1.0})))  # fmt: skip  # noqa: E501
    assert (run.plan, run.environment, run.sources, run.interpolation, run.metrics) == (None, None, None, None, {})
    for content in (plan, environment, sources, curve):
        run.write(content)
    run.write_metrics({"dev": {"wer": 0.5}, "best_epoch": 1})
    assert (run.plan, run.environment, run.sources, run.interpolation) == (plan, environment, sources, curve)
    assert run.metrics == {"dev": {"wer": 0.5}, "best_epoch": 1}
    assert run.sources is not None
    assert run.sources.digests == {"model": "abc", "train": "def"}
    written = list(run.path.glob("*.json"))
    assert len(written) == 5
    assert all(json.loads(path.read_text())["version"] == 1 for path in written)


def test_an_epoch_that_is_repeated_replaces_its_line_and_those_after_it(run: RunFolder) -> None:
    assert run.history == []
    for epoch in (1, 2, 3):
        run.write_epoch({"epoch": epoch, "loss": 1.0})
    run.write_epoch({"epoch": 2, "loss": 0.5})
    assert run.history == [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"plan\.json: is damaged, it is not JSON .*; remove the file to go on without it"),
        ("[]", r"plan\.json: holds a list; wanted an object, or remove the file"),
        ('{"trained": 1}', r"plan\.json: is not what a run writes \(lacks total\)"),
        (
            '{"version": 2, "trained": 1, "total": 1, "columns": [], "rows": []}',
            r"plan\.json: is of version 2, but this version of speechxfer reads 1; upgrade it",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named(run: RunFolder, text: str, message: str) -> None:
    run.write(PlanTable(1, 2, [], []))
    (run.path / "plan.json").write_text(text)
    with pytest.raises(DataError, match=message):
        _ = run.plan


def test_nested_values_that_are_missing_are_named(run: RunFolder) -> None:
    (run.path / "sources.json").write_text('{"model": "m", "splits": {"train": {"nope": 1}}}')
    with pytest.raises(DataError, match=r"sources\.json: is not what a run writes \(lacks splits\.train\.digest\)"):
        _ = run.sources


def test_clearing_removes_all_but_the_settings_and_what_is_not_of_the_run(run: RunFolder) -> None:
    run.write(PlanTable(1, 2, [], []))
    run.write_epoch({"epoch": 1, "loss": 1.0})
    for folder in (run.model, run.checkpoints, run.non_speech, run.tensorboard, run.interpolated, run.scratch.path):
        folder.mkdir()
        (folder / "file").touch()
    run.report.touch()
    (run.path / "notes.txt").touch()
    run.clear()
    assert {path.name for path in run.path.iterdir()} == {run.config_file.name, "notes.txt"}


@pytest.mark.parametrize("name", ["before.json", "retain_after.json", "nothing"])
def test_the_layout_of_an_earlier_version_is_named(run: RunFolder, name: str) -> None:
    run.check_run()
    (run.path / name).touch()
    for check in (run.check_run, run.check_layout):
        with pytest.raises(ConfigError, match=rf"earlier version of speechxfer \({name}\).*model can still be used, but the run has to start again"):  # fmt: skip  # noqa: E501
            check()
    run.clear()
    run.check_run()


def test_what_is_no_run_is_named(tmp_path: Path, run: RunFolder) -> None:
    run.model.mkdir()
    found: dict[str, Any] = {
        "none": "there is no such folder",
        "run/model": f"did you mean {run}?",
        "run/config.toml": "is a file",
    }
    for name, message in found.items():
        with pytest.raises(ConfigError) as error:
            RunFolder(tmp_path / name).check_run()
        assert message in str(error.value)
    with pytest.raises(ConfigError, match=r"is not a finished run \(no metrics\.json\)"):
        run.check_finished()
