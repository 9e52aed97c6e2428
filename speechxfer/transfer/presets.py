"""Presets: named defaults of the plan settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError

#: Name -> settings. A number of layers may be a fraction of all layers (for `train_top`, of those that `drop_top`
#: leaves), which is at least one layer.
PRESETS: dict[str, dict[str, Any]] = {
    # The encoder is frozen; only the head is trained.
    "feature-extraction": {"train_top": 0},
    # Lower layers are general and stay frozen; upper ones are specific to the old domain and are trained.
    "fine-tune-top": {"train_top": 1 / 3},
    # All layers are trained, lower ones at lower rates (Howard and Ruder, 2018); the convolutions are frozen (Baevski
    # et al., 2020).
    "fine-tune": {"freeze_below": 0, "layer_decay": 0.9},
    # For little data from a distant domain: the upper layers, which are too specific, are removed.
    "lower-layers": {"drop_top": 1 / 2, "train_top": 1 / 3},
    # LoRA (Hu et al., 2022) on all matrices, because on attention alone it learns far less (Schulman et al., 2025, LoRA
    # without regret).
    "lora": {"freeze_below": 0, "lora_rank": 8, "lora_feed_forward": True},
    # The same architecture without pre-training: the baseline that transfer has to beat.
    "from-scratch": {"from_scratch": True, "encoder_lr": 5e-4},
}
#: Two ways to set one thing: either of them overrides the preset's value of both.
_ALTERNATIVES = ("freeze_below", "train_top")


def settled(config: PlanConfig, depth: int) -> PlanConfig:
    """The settings with the preset's values filled in, for an encoder of `depth` layers.

    Raises:
        ConfigError: an unknown preset.
    """
    given = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    preset = given.pop("preset")
    if not preset:
        return config
    if preset not in PRESETS:
        raise ConfigError(f"plan.preset is {preset!r}; wanted one of {', '.join(PRESETS)}")
    defaults = dict(PRESETS[preset])
    if any(name in given for name in _ALTERNATIVES):
        defaults = {name: value for name, value in defaults.items() if name not in _ALTERNATIVES}
    values = defaults | given
    values["drop_top"] = _layers(values.get("drop_top", 0), depth)
    if "train_top" in values:
        values["train_top"] = _layers(values["train_top"], depth - values["drop_top"])
    return PlanConfig(**values)


def _layers(count: float, depth: int) -> int:
    """A number of layers as it is; a fraction of `depth` as a number of layers."""
    return count if isinstance(count, int) else max(1, round(count * depth))
