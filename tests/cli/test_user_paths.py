"""`~` is a home folder wherever a path may stand, and what was given on the command line counts or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from speechxfer.cli import main


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "häuser am see"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def options(corpus: Callable[..., Path], whisper_folder: Path) -> list[str]:
    train, dev = corpus("train", ["ab c", "ca b", "bb a"] * 3), corpus("dev", ["ab a", "c a"])
    return ["--model", str(whisper_folder), "--train", str(train), "--dev", str(dev), "--epochs", "1", "--train-top", "0", "--device", "cpu"]  # fmt: skip  # noqa: E501


@pytest.mark.slow
@pytest.mark.parametrize("way", ["option", "set", "file"])
def test_a_run_in_the_home_folder(way: str, home: Path, options: list[str], tmp_path: Path) -> None:
    if way == "file":
        (home / "settings.toml").write_text('output = "~/run"\n', encoding="utf-8")
        given = ["--config=~/settings.toml"]
    else:
        given = ["--output=~/run"] if way == "option" else ["--set", "output=~/run"]
    status, said = run("finetune", *options, *given)
    assert status == 0, said
    assert (home / "run" / "model" / "model.safetensors").is_file()
    assert not (tmp_path / "~").exists()
    assert run("report", "~/run") == (0, f"{home}/run/report.html\n")
    assert run("finetune", *options, *given, "--resume")[0] == 0


def test_every_command_of_runs_knows_the_home_folder(home: Path, options: list[str], tmp_path: Path) -> None:
    (home / "cache" / "frozen").mkdir(parents=True)
    status, said = run("cache", "--cache-dir", "~/cache")
    assert (status, "0.0 MB  in all" in said) == (0, True)
    probing = options[:6]
    status, said = run("probe", *probing, "--output", "~/probed", "--layers", "0")
    assert status == 0, said
    assert (home / "probed" / "probe.json").is_file()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("command", [["report", "~nosuchuser/run"], ["cache", "--cache-dir", "~nosuchuser"], ["interpolate", "~nosuchuser/run"]])  # fmt: skip  # noqa: E501
def test_an_unknown_user_has_no_home_folder(command: list[str]) -> None:
    status, said = run(*command)
    assert (status, "there is no such user" in said) == (2, True)


def test_a_cache_that_is_not_there_is_reported(tmp_path: Path) -> None:
    status, said = run("cache", "--cache-dir", str(tmp_path / "none"))
    assert (status, "there is no such folder" in said) == (2, True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--patience", "-1"], "--patience: training.patience is -1; wanted at least 0"),
        (["--batch-seconds", "nan"], "--batch-seconds: training.batch_seconds is nan"),
        (["--seed", "-1"], "--seed: training.seed is -1; wanted at least 0 and at most 4294967295"),
        (["--seed", str(2**64)], f"--seed: training.seed is {2**64}; wanted at least 0"),
        (["--encoder-lr", "inf"], "--encoder-lr: plan.encoder_lr is inf"),
        (["--set", "training.dev_utterances=-1"], "training.dev_utterances is -1; wanted at least 0"),
        (["--set", "training=5"], "training is a group of settings"),
        (["--set", "training=5", "--epochs", "3"], "training is a group of settings"),
        (["--set", "plan.lora=true"], "did you mean plan.lora_rank?"),
        (["--set", "=5"], "wanted key=value"),
        (["--output", ""], "--output: output is ''; wanted a path"),
        (["--test", ""], "--test: test is ''; wanted a path"),
    ],
)
def test_an_option_that_says_what_cannot_be_is_refused_by_its_name(
    given: list[str], message: str, options: list[str], tmp_path: Path
) -> None:
    output = [] if "--output" in given else ["--output", str(tmp_path / "run")]
    status, said = run("finetune", *options, *output, *given)
    assert (status, said.count("\n")) == (2, 1), said
    assert message in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--wake", "3@2"], "--wake is now --unfreeze-at; use the new name"),
        (["--head-first=0.2"], "--head-first is now --head-only-ratio; use the new name"),
        (["--set", "plan.wake=3@2"], "plan.wake is now plan.unfreeze_at; use the new name"),  # codespell:ignore wake
        (["--warp", "0.1"], "No such option '--warp'"),
    ],
)
def test_an_option_by_its_old_name_is_refused_with_the_new_one(given: list[str], message: str) -> None:
    status, said = run("finetune", *given)
    assert (status, message in said) == (2, True), said


def test_only_a_command_that_has_the_new_option_names_it() -> None:
    status, said = run("report", "--wake", "3@2")
    assert (status, "No such option '--wake'" in said) == (2, True)


def test_a_file_of_settings_is_named_even_where_an_option_says_better(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nepochs = '5'\n")
    status, said = run("finetune", *options, "--config", str(path), "--output", str(tmp_path / "run"))
    assert (status, f"{path}: training.epochs is '5', which is text" in said) == (2, True)


def test_a_plan_that_replaces_that_of_the_file_says_so(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[plan]\ntrain_top = 1\n")
    status, said = run("finetune", *options, "--config", str(path), "--plan", "feature-extraction", "--output", str(tmp_path / "run"))  # fmt: skip  # noqa: E501
    assert status == 0, said
    assert f"--plan feature-extraction: replaces the table [plan] of {path} (train_top)" in said
