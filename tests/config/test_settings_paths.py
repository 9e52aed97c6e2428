"""Paths in settings mean what they mean, wherever they stand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.config import FinetuneConfig, build, hint, merge, moved, parse_assignment, read_toml, to_dict
from speechxfer.errors import ConfigError

LEAST = {"model": "m", "train": "t.jsonl", "dev": "d.jsonl", "output": "o"}
#: A name as a file may have it.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0~"), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize("name", ["train", "dev", "test", "retain", "output", "retention.replay", "training.cache_dir"])
def test_a_path_is_seen_from_the_working_folder_and_the_home_folder(name: str, tmp_path: Path) -> None:
    def found(path: str) -> object:
        config = to_dict(build(FinetuneConfig, merge([LEAST, parse_assignment(f"{name}={path}")])))
        for part in name.split("."):
            config = config[part]
        return config

    assert found("~/a b/ü") == str(tmp_path / "home" / "a b" / "ü")
    assert found("x/../y") == str(tmp_path / "here" / "x" / ".." / "y")  # `..` behind a link leads elsewhere
    assert found("/abs") == "/abs"
    assert found("$HOME/x") == str(tmp_path / "here" / "$HOME" / "x")


def test_a_model_becomes_absolute_only_where_it_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "here" / "mine").mkdir()
    models = {name: FinetuneConfig(**{**LEAST, "model": name}).model for name in ("mine", "openai/tiny", "~/m")}
    assert models == {"mine": str(tmp_path / "here" / "mine"), "openai/tiny": "openai/tiny", "~/m": str(tmp_path / "home" / "m")}  # fmt: skip  # noqa: E501


def test_paths_may_be_given_as_path_objects(tmp_path: Path) -> None:
    config = FinetuneConfig(model="m", train=Path("t.csv"), dev=Path("~/d.csv"), output=Path("o"))  # type: ignore[arg-type]
    assert (config.train, config.dev) == (str(tmp_path / "here" / "t.csv"), str(tmp_path / "home" / "d.csv"))


@given(name=NAMES)
def test_a_path_of_any_characters_survives_the_file_of_settings(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:  # fmt: skip  # noqa: E501
    config = FinetuneConfig(model="m", train=f"{name}/t.jsonl", dev="d.jsonl", output=name)
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_text(tomli_w.dumps(to_dict(config)), encoding="utf-8")
    assert build(FinetuneConfig, read_toml(path)) == config


@pytest.mark.parametrize("path", ["", "a\0b", os.fsdecode(b"\xff.jsonl")])
def test_what_no_file_can_be_called_is_refused(path: str) -> None:
    for name in ("train", "output", "test"):
        with pytest.raises(ConfigError, match=f"{name} is .*; wanted a path"):
            FinetuneConfig(**{**LEAST, name: path})


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$HOME/x", "variables such as $HOME are not replaced"),
        ("${DATA}/x", "variables such as $HOME are not replaced"),
        ("C:\\data\\x.jsonl", "folders are separated by /"),
        ("~nosuchuser/x", "there is no such user"),
        ("a $5 bill/x~", ""),
    ],
)
def test_what_may_be_wrong_with_a_path_is_said(path: str, said: str) -> None:
    assert said in hint(FinetuneConfig(**{**LEAST, "output": path}).output)
    assert bool(hint(str(Path(path).absolute()))) == bool(said)


def test_what_moved_along_with_a_run_is_found_and_nothing_else(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (new / "data").mkdir(parents=True)
    for name in ("train.jsonl", "replay.jsonl"):
        (new / "data" / name).touch()
    (new / "model").mkdir()
    kept = tmp_path / "kept.jsonl"
    kept.touch()
    config = FinetuneConfig(
        model=str(old / "model"), train=str(old / "data" / "train.jsonl"), dev=str(kept), test=str(old / "gone.jsonl"),
        output=str(old / "runs" / "a"),
    )  # fmt: skip
    found = moved(config, new / "runs" / "a")
    assert found.output == str(new / "runs" / "a")
    assert (found.model, found.train) == (str(new / "model"), str(new / "data" / "train.jsonl"))
    assert (found.dev, found.test, found.retain) == (config.dev, config.test, None)
