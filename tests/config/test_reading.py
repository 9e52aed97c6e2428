from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from speechxfer.config import (
    FinetuneConfig,
    build,
    flat,
    merge,
    nested,
    parse_assignment,
    parse_setting,
    read_settings,
    read_toml,
    to_dict,
)
from speechxfer.errors import ConfigError

LEAST = {"model": "m", "train": "t.jsonl", "dev": "d.jsonl", "output": "o"}


def config(*assignments: str) -> FinetuneConfig:
    return build(FinetuneConfig, merge([LEAST, *map(parse_assignment, assignments)]))


def test_it_survives_being_written_and_read(tmp_path: Path) -> None:
    first = config("training.epochs=3", "plan.train_top=2", "test=x.csv", "plan.encoder_lr=1e-4")
    path = tmp_path / "config.toml"
    path.write_text(tomli_w.dumps(to_dict(first)))
    assert build(FinetuneConfig, read_toml(path)) == first
    assert (first.training.epochs, first.plan.train_top, first.plan.encoder_lr) == (3, 2, 1e-4)


def test_later_layers_win_key_by_key() -> None:
    merged = merge([{"training": {"epochs": 1, "seed": 2}}, {"training": {"epochs": 5}}])
    assert merged == {"training": {"epochs": 5, "seed": 2}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epoch=3", "training.epoch is not a setting; did you mean training.epochs?"),
        ("training.epochs=three", "training.epochs is 'three', which is text; wanted a whole number"),
        ("training.epochs=-1", "training.epochs is -1; wanted at least 0"),
        ("training.epochs=true", "training.epochs is true; wanted a whole number"),
        ("training=3", "training is a group of settings"),
        ("plan.encoder_lr=-1", "plan.encoder_lr is -1"),
        ("head=attention", "wanted one of ctc, classification, seq2seq"),
        ("augment.mask_time_prob=1.5", "augment.mask_time_prob is 1.5; wanted at least 0 and less than 1"),
        ("training.epochs", "wanted key=value"),
    ],
)
def test_a_wrong_setting_is_named(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(assignment)
    assert message in str(caught.value)


def test_saying_the_same_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="two ways to set one thing"):
        config("plan.train_top=1", "plan.freeze_below=1")


def test_missing_settings_are_all_named() -> None:
    with pytest.raises(ConfigError, match="train, dev must be given"):
        build(FinetuneConfig, {"model": "m", "output": "o"})


def test_a_file_that_is_not_toml_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = = b")
    with pytest.raises(ConfigError, match=r"x\.toml: is not TOML"):
        read_toml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("=5", "wanted key=value"),
        (".epochs=5", "wanted key=value"),
        ("training..epochs=5", "wanted key=value"),
        ("training.epochs.x=1", "training.epochs.x is not a setting; training.epochs is a single value"),
        ("plan.lora=true", "did you mean plan.lora_rank?"),
        ("epochs=5", "did you mean training.epochs?"),
        ("cache_dir=x", "did you mean training.cache_dir?"),
        ("lr=1e-4", "did you mean plan.encoder_lr?"),
        ("training.seed=5#6", "training.seed is '5#6', which is text"),
        ("training.trackers=wandb", "wanted a list, for instance ['wandb']"),
        ("output=2024-01-01", 'quote it to make it text: "2024-01-01"'),
        ("retention=3", "retention is a group of settings; wanted retention.KEY, found 3"),
    ],
)
def test_a_setting_on_the_command_line_is_looked_at_by_itself(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_setting(assignment)
    assert message in str(caught.value)
    assert assignment in str(caught.value)


@pytest.mark.parametrize("layers", [[{"training": 5}, {"training": {"epochs": 3}}], [{"training": {"epochs": 3}}, {"training": 5}]])  # fmt: skip  # noqa: E501
def test_a_group_and_a_value_of_one_name_are_refused_in_either_order(layers: list[dict[str, object]]) -> None:
    with pytest.raises(ConfigError, match=r"training is a group of settings; wanted training\.KEY, found 5"):
        merge(layers)


@pytest.mark.parametrize("text", ["training = 5", "[training]\nepochs = '5'", "nope = 1", "[plan]\ntrain_top = true"])
def test_a_file_of_settings_is_named_in_what_is_wrong_with_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.toml: "):
        read_settings(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf[training]\nepochs = 3\n")
    assert read_settings(path) == {"training": {"epochs": 3}}


def test_flat_and_nested_are_inverse() -> None:
    values = to_dict(config("training.epochs=3"))
    assert nested(flat(values)) == values
