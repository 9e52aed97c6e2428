"""Named ways to transfer, each a set of defaults for the plan's settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError

#: Name -> settings. A fraction where a number of layers is wanted is a share of the layers there are (of those that
#: are left, for `train_top`), at least one.
PRESETS: dict[str, dict[str, Any]] = {
    # The encoder as it is; a head learns to read it.
    "feature-extraction": {"train_top": 0},
    # What is general stays below, what is particular to the old domain moves.
    "fine-tune-top": {"train_top": 1 / 3},
    # All layers, the lower ones slower (Howard and Ruder, 2018); the convolutions as they are (Baevski et al., 2020).
    "fine-tune": {"freeze_below": 0, "layer_decay": 0.9},
    # Little data from far away: what the upper layers know does not apply, so the general lower ones carry a new top.
    "lower-layers": {"drop_top": 1 / 2, "train_top": 1 / 3},
    # Small matrices beside the layers' own (Hu et al., 2022), which move faster than whole weights may; beside all of
    # them, for beside attention's alone they learn far less (Schulman et al., 2025, LoRA without regret).
    "lora": {"freeze_below": 0, "lora_rank": 8, "lora_feed_forward": True},
    # The same shape without anything learned: what transfer has to beat.
    "from-scratch": {"from_scratch": True, "encoder_lr": 5e-4},
}
#: Two ways to say one thing: naming one of them takes back what a preset says by the other.
_SAME = ("freeze_below", "train_top")


def settled(config: PlanConfig, depth: int) -> PlanConfig:
    """The settings with the preset's where none are given, for an encoder of `depth` layers; names no preset any more.

    Raises:
        ConfigError: there is no such preset.
    """
    given = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    preset = given.pop("preset")
    if not preset:
        return config
    if preset not in PRESETS:
        raise ConfigError(f"plan.preset is {preset!r}; wanted one of {', '.join(PRESETS)}")
    defaults = dict(PRESETS[preset])
    if any(name in given for name in _SAME):
        defaults = {name: value for name, value in defaults.items() if name not in _SAME}
    values = defaults | given
    values["drop_top"] = _layers(values.get("drop_top", 0), depth)
    if "train_top" in values:
        values["train_top"] = _layers(values["train_top"], depth - values["drop_top"])
    return PlanConfig(**values)


def _layers(count: float, depth: int) -> int:
    """A number of layers as it is, a fraction as a share of `depth`."""
    return count if isinstance(count, int) else max(1, round(count * depth))
