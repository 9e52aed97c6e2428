from __future__ import annotations

import pytest

from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError
from speechxfer.transfer.presets import PRESETS, settled


def test_a_share_of_the_layers_follows_the_depth() -> None:
    assert [settled(PlanConfig(preset="fine-tune-top"), depth).train_top for depth in (2, 4, 12, 24)] == [1, 1, 4, 8]
    lower = settled(PlanConfig(preset="lower-layers"), 12)
    assert (lower.drop_top, lower.train_top) == (6, 2), "the third is of the layers that are left"


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_given_replaces_what_a_preset_says(preset: str) -> None:
    given = {"encoder_lr": 0.1, "head_lr": 0.2, "layer_decay": 0.3, "drop_top": 1, "lora_rank": 0}
    config = settled(PlanConfig(preset=preset, **given), 6)
    assert {name: getattr(config, name) for name in given} == given
    assert config.preset == ""
    assert settled(config, 5) == config


def test_zero_replaces_a_preset_too() -> None:
    assert settled(PlanConfig(preset="lower-layers", drop_top=0), 6).train_top == 2
    assert settled(PlanConfig(preset="from-scratch", from_scratch=False), 6).from_scratch is False


def test_the_other_way_to_say_which_layers_takes_back_the_preset_s() -> None:
    config = settled(PlanConfig(preset="fine-tune-top", freeze_below=1), 6)
    assert (config.train_top, config.freeze_below) == (None, 1)


def test_an_unknown_preset_is_reported_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"plan.preset is 'finetune'; wanted one of feature-extraction, .*lora"):
        settled(PlanConfig(preset="finetune"), 6)
