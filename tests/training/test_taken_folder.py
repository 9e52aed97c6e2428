"""Whose a run's folder is, and that it goes on where its data, its model or it itself have moved."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import read_config, to_dict
from speechxfer.errors import CheckpointError, ConfigError, DataError, SpeechxferError
from speechxfer.runs import RunFolder
from speechxfer.runs.ownership import check_idle
from tests.training.conftest import Log, Runs, interrupted

SHORT: dict[str, Any] = {"training": {"epochs": 2, "batch_seconds": 8.0}}


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"device": "gpu"}, "device 'gpu' is not known"),
    ({"device": "cuda:700"}, "device 'cuda:700'"),
    ({"dev": "none.jsonl"}, "none.jsonl"),
    ({"test": "$DATA/none.jsonl"}, "test: .*variables such as"),
    ({"model": "./none"}, "none"),
    ({"text": {"normalizer": "shout"}}, "normalizer 'shout' is not known"),
    ({"text": {"scoring_normalizer": "shout"}}, "normalizer 'shout' is not known"),
    ({"training": {"trackers": ["mlflow"]}}, "the package mlflow is not installed"),
    ({"training": {"cache": "disk", "cache_dir": "/proc/none"}}, "/proc/none"),
    ({"plan": {"train_top": 9}}, "plan.train_top is 9"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_what_is_refused_leaves_the_folder_as_it_was(settings: dict[str, Any], message: str, runs: Runs) -> None:
    with pytest.raises(SpeechxferError, match=message):
        runs.run("deep/down/run", SHORT, settings)
    assert not (runs.folder / "deep").exists()
    empty = runs.folder / "empty"
    empty.mkdir()
    with pytest.raises(SpeechxferError, match=message):
        runs.run("empty", SHORT, settings)
    assert list(empty.iterdir()) == []


def test_what_is_refused_with_overwrite_loses_nothing(runs: Runs) -> None:
    runs.run("run", SHORT)
    before = files(runs.folder / "run")
    for settings, message in REFUSED:
        if "training" not in settings:
            with pytest.raises(SpeechxferError, match=message):
                sx.finetune(config=runs.config("run", SHORT, settings), overwrite=True)
            assert files(runs.folder / "run") == before, settings


def test_a_folder_in_which_nobody_may_write_is_refused_before_the_work(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs.folder / "closed").mkdir()
    real = os.access

    def access(path: Any, mode: int) -> bool:
        return real(path, mode) and not (mode & os.W_OK and str(path).endswith("closed"))

    monkeypatch.setattr(os, "access", access)
    with pytest.raises(ConfigError, match="closed: this user may not write there; choose another --output"):
        runs.run("closed/run")
    (runs.folder / "file").touch()
    with pytest.raises(ConfigError, match="file: is a file; wanted a folder for the run"):
        runs.run("file/run")


@pytest.mark.slow
def test_a_second_run_is_refused_while_the_first_lives_and_resuming_after_a_kill_is_not(runs: Runs) -> None:
    long = {"training": {"epochs": 100_000, "batch_seconds": 2.0}}
    path = runs.folder / "long.toml"
    path.write_text(tomli_w.dumps(to_dict(runs.config("run", long))))
    arguments = ["finetune", "--config", str(path)]
    folder = runs.folder / "run"
    with subprocess.Popen([sys.executable, "-m", "speechxfer", *arguments], stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 60
        while not (folder / "model").is_dir() and time.monotonic() < end:
            time.sleep(0.1)
        for more in ([], ["--resume"], ["--overwrite"], ["--seed", "2", "--overwrite"]):
            status, said = command(*arguments, *more)
            assert (status, said.count("\n")) == (1, 1), said
            assert f"{folder}: another process is writing there (process {process.pid} on " in said
        probing = ["probe", "--model", runs.base["model"], "--train", runs.base["train"], "--dev", runs.base["dev"]]
        status, said = command(*probing, "--output", str(folder))
        assert (status, "another process is writing there" in said) == (1, True), said
        assert command("report", str(folder))[0] == 0
        process.kill()
    assert RunFolder(folder).lock.exists()
    assert not check_idle(RunFolder(folder))
    shutil.rmtree(folder / "model")
    with pytest.raises(KeyboardInterrupt):
        runs.run("run", long, resume=True, callbacks=[Interrupting()])
    assert not RunFolder(folder).lock.exists()


class Interrupting(sx.Callback):
    """Stops before the next step."""

    def on_epoch_begin(self, state: sx.TrainingState) -> None:
        raise KeyboardInterrupt


def test_what_another_run_wrote_meanwhile_is_not_written_over(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find the folder free, one is done before the other takes it."""
    config = runs.config("run", SHORT)

    def meanwhile(*_arguments: Any, **_options: Any) -> list[str]:
        monkeypatch.undo()
        runs.run("run", SHORT)
        return []

    monkeypatch.setattr("speechxfer.training.finetune.unused", meanwhile)
    with pytest.raises(ConfigError, match="holds another run"):
        sx.finetune(config=config)


@pytest.fixture
def project(runs: Runs, tmp_path: Path) -> Path:
    """A folder with everything in it: `data`, `model` and the interrupted run `runs/a`."""
    folder = tmp_path / "project"
    shutil.copytree(Path(runs.base["train"]).parent, folder / "data")
    shutil.copytree(runs.base["model"], folder / "model")
    runs.folder = folder / "runs"
    for name in ("train", "dev"):
        runs.base[name] = str(folder / "data" / Path(runs.base[name]).name)
    runs.base["test"] = runs.base["dev"]
    runs.base["model"] = str(folder / "model")
    interrupted(runs, "a", 5)
    runs.run("whole")
    return folder


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_data_and_model_that_moved_are_named_and_the_run_goes_on(project: Path) -> None:
    folder, whole = project / "runs" / "a", losses(project / "runs" / "whole")
    (project / "data").rename(project / "corpus")
    (project / "model").rename(project / "origin")
    arguments = ["finetune", "--config", str(folder / "config.toml"), "--resume"]
    given: list[str] = []
    for name, place in (("model", "origin"), ("train", "corpus/train.jsonl"), ("dev", "corpus/dev.jsonl"), ("test", "corpus/dev.jsonl")):  # fmt: skip  # noqa: E501
        status, said = command(*arguments, *given)
        assert (status, f"{name}: " in said, f"by --{name}" in said) == (2, True, True), said
        given += [f"--{name}", str(project / place)]
    assert command(*arguments, *given)[0] == 0
    assert losses(folder) == whole
    assert read_config(folder / "config.toml").train == str(project / "corpus" / "train.jsonl")
    assert command("report", str(folder))[0] == 0
    assert "the recording is not there" not in (folder / "report.html").read_text()


@pytest.mark.slow
def test_a_project_that_moved_as_a_whole_needs_nothing_said(project: Path, tmp_path: Path) -> None:
    whole = losses(project / "runs" / "whole")
    project = project.rename(tmp_path / "elsewhere")
    folder = (project / "runs" / "a").rename(project / "runs" / "b")
    status, said = command("finetune", "--config", str(folder / "config.toml"), "--resume")
    assert status == 0, said
    assert f"resuming the run in {folder}, which was in {tmp_path / 'project' / 'runs' / 'a'} when it began" in said
    assert losses(folder) == whole
    for arguments in (["report", str(folder)], ["interpolate", str(project / "runs" / "whole"), "--points", "0.5"]):
        assert command(*arguments)[0] == 0
    assert "the recording is not there" not in (folder / "report.html").read_text()


def test_where_a_run_was_copied_which_one_goes_on_has_to_be_said(project: Path) -> None:
    shutil.copytree(project / "runs" / "a", project / "runs" / "copy")
    status, said = command("finetune", "--config", str(project / "runs" / "copy" / "config.toml"), "--resume")
    assert (status, "there is a run in both; say which by --output" in said) == (2, True)


@pytest.mark.slow
def test_a_corpus_with_absolute_paths_that_moved_is_the_same_corpus(project: Path, runs: Runs) -> None:
    def absolute(folder: Path, name: str) -> None:
        lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        written = [{**line, "audio": str(folder / Path(line["audio"]).name)} for line in lines]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))

    for name in ("train", "dev"):
        absolute(project / "data", name)
    runs.run("b", SHORT)
    moved = (project / "data").rename(project / "corpus")
    for name in ("train", "dev"):
        absolute(moved, name)
        runs.base[name] = str(moved / f"{name}.jsonl")
    runs.base["test"] = runs.base["dev"]
    runs.run("b", SHORT, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_other_data_is_refused_by_its_name_before_the_work(name: str, project: Path, runs: Runs) -> None:
    path = Path(runs.base[name])
    other = path.with_name("other.jsonl")
    other.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    log = Log()
    with pytest.raises(CheckpointError, match=rf"other\.jsonl: the {name} manifest has changed since the run began"):
        sx.finetune(config=runs.config("a", {name: str(other)}), resume=True, progress=log)
    assert log.messages == []


def test_another_model_at_the_same_place_is_refused(project: Path, runs: Runs) -> None:
    weights = project / "model" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="the model has changed since the run began; put the old one back"):
        runs.run("a", resume=True)


def test_a_run_that_noted_no_content_is_resumed_by_its_paths(project: Path, runs: Runs) -> None:
    (project / "runs" / "a" / "sources.json").unlink()
    runs.base["test"] = shutil.copy(runs.base["test"], project / "data" / "same.jsonl")
    with pytest.raises(ConfigError, match=r"test was '.*dev\.jsonl', now '.*same\.jsonl'"):
        runs.run("a", resume=True)


def test_damaged_figures_of_past_epochs_are_reported_before_the_work(project: Path, runs: Runs) -> None:
    path = project / "runs" / "whole" / "metrics.jsonl"
    path.write_text(path.read_text() + "{half")
    with pytest.raises(DataError, match=r"metrics\.jsonl:\d+: is damaged"):
        runs.run("whole", resume=True)


@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 5, 6, 7, 8, 100])
def test_as_many_of_dev_are_measured_as_are_asked_for(wanted: int, runs: Runs) -> None:
    from speechxfer.data.manifest import Manifest
    from speechxfer.training.distributed import World
    from speechxfer.training.job import Job

    lines = Path(runs.base["dev"]).read_text().splitlines(keepends=True)
    dev = Path(runs.base["dev"]).with_name("seven.jsonl")
    dev.write_text("".join([*lines, *lines][:7]))
    log = Log()
    job = Job(runs.config("run", {"dev": str(dev), "training": {"dev_utterances": wanted}}), World(), log)
    some, again = (job.chosen()["dev"] for _ in range(2))
    assert len(some) == min(wanted, 7)
    assert list(some) == list(again)
    places = [list(Manifest.read(dev)).index(one) for one in some]
    assert places == sorted(set(places))
    assert places[0] == 0
    gaps = [second - first for first, second in itertools.pairwise(places)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert ("training.dev_utterances is" in log) == (wanted > 7)
