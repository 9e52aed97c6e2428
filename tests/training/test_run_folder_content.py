"""What a run leaves in its folder, and that it is the same however the run came to its end."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

from speechxfer.cli import main
from speechxfer.config import to_dict
from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.runs import RunFolder
from tests.training.conftest import Runs, interrupted

SHORT: dict[str, Any] = {"training": {"epochs": 2, "batch_seconds": 8.0}}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_folder_says_what_was_done_with_what_and_what_came_of_it(forgetful: Runs) -> None:
    folder, test = forgetful.folder / "second", Manifest.read(forgetful.base["test"])
    figures = read(folder / "metrics.json")
    for name, model in (("before", "pre-trained"), ("after", "adapted")):
        results = RunFolder(folder).predictions("test", model)
        assert results is not None
        assert [one.utterance.id for one in results.in_order] == [one.id for one in test]
        assert all(one.utterance.duration for one in results.results)
        assert results.to_dict() == figures[name]
    intervals = figures["after"]["intervals"]  # without bounds where there is no error left
    assert intervals["count"] == len(test)
    assert bool(intervals["bounds"]) == (figures["after"]["cer"] > 0)
    assert figures["notes"][0].startswith("Test split: after is better than before: WER 0.")
    run = RunFolder(folder)
    assert run.plan is not None
    assert 0 < run.plan.trained < run.plan.total  # positions are given
    assert all(len(row) == len(run.plan.columns) for row in run.plan.rows)
    assert run.environment is not None
    facts = run.environment.facts
    assert {"python", "torch", "transformers", "speechxfer", "device", "precision"} <= facts.keys()
    assert facts["processes"] == "1"
    assert run.environment.command
    assert run.sources is not None
    assert run.sources.splits["test"].utterances == len(test)
    assert run.sources.splits["test"].digest == data_digest([test])
    assert (folder / "report.html").is_file()
    assert (folder / "model" / "README.md").is_file()


@pytest.mark.slow
def test_overwriting_removes_all_that_the_run_had_written(forgetful: Runs) -> None:
    settings = to_dict(forgetful.config("again", SHORT))
    path = forgetful.folder / "again.toml"
    path.write_text(tomli_w.dumps(settings))
    assert CliRunner().invoke(main, ["finetune", "--config", str(path)]).exit_code == 0
    (forgetful.folder / "again" / "interpolation.json").write_text("[]")
    done = CliRunner().invoke(main, ["finetune", "--config", str(path), "--overwrite", "--set", "test="])
    assert done.exit_code != 0  # "" is no manifest, and nothing is lost over it
    assert (forgetful.folder / "again" / "interpolation.json").is_file()
    del settings["test"], settings["retain"]
    path.write_text(tomli_w.dumps(settings))
    assert CliRunner().invoke(main, ["finetune", "--config", str(path), "--overwrite"]).exit_code == 0
    left = {item.name for item in (forgetful.folder / "again").iterdir()}
    assert not left & {"predictions", "interpolation.json"}


@pytest.mark.slow
def test_interrupted_with_something_to_retain_it_ends_where_it_would_have(learned: Runs, forgetful: Runs) -> None:
    noisy: dict[str, Any] = {"training": {"epochs": 2, "batch_seconds": 8.0, "dropout": 0.1}}
    replay = {"retention": {"replay": learned.base["train"]}}
    forgetful.run("whole", noisy, replay)
    interrupted(forgetful, "stopped", 9, noisy, replay)
    forgetful.run("stopped", noisy, replay, resume=True)
    assert forgetful.metrics("stopped") == forgetful.metrics("whole")
    ends = [read(forgetful.folder / name / "metrics.json") for name in ("stopped", "whole")]
    assert ends[0]["retained"] == ends[1]["retained"]


@pytest.mark.slow
def test_two_processes_retain_and_compare_what_one_does(forgetful: Runs) -> None:
    alone = {**SHORT, "compare_scratch": True, "training": {"epochs": 2, "batch_seconds": 8.0}}
    forgetful.run("one", alone)
    settings = tomllib.loads(tomli_w.dumps(to_dict(forgetful.config("two", alone))))
    path = forgetful.folder / "two.toml"
    path.write_text(tomli_w.dumps(settings))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "speechxfer", "finetune", "--config", str(path)]  # fmt: skip  # noqa: E501
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in ("loss", "dev_loss", "gradient_norm"):
        one, two = ([line[name] for line in forgetful.metrics(run)] for run in ("one", "two"))
        assert two == pytest.approx(one, abs=1e-3)
    ends = [read(forgetful.folder / name / "metrics.json") for name in ("one", "two")]
    assert ends[1]["retained"]["after"]["wer"] == pytest.approx(ends[0]["retained"]["after"]["wer"], abs=0.05)
    assert ends[1]["scratch"]["verdict"]


def test_the_options_of_the_command_are_the_settings(forgetful: Runs) -> None:
    options = ["--retain", "kept.jsonl", "--replay", "old.jsonl", "--replay-ratio", "0.3", "--compare-scratch"]
    given = ["--model", "none/such", "--train", "t.jsonl", "--dev", "d.jsonl", "--output", str(forgetful.folder / "x")]
    done = CliRunner().invoke(main, ["finetune", *given, *options, "--track", "nobody"])
    assert done.exit_code == 2
    assert "'nobody' is not one of 'mlflow', 'trackio', 'wandb'" in done.output
    done = CliRunner().invoke(main, ["finetune", *given, *options, "--set", "retention.replay_ratio=7"])
    assert "retention.replay_ratio is 7; wanted at least 0 and less than 1" in done.output
