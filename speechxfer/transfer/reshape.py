"""Surgery on a pre-trained encoder before training: remove or re-initialize layers, or start from scratch."""

from __future__ import annotations

from dataclasses import replace

from speechxfer.config import PlanConfig
from speechxfer.encoders import restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.errors import ConfigError
from speechxfer.transfer.presets import settled


def reshape(config: PlanConfig, encoder: Encoder) -> PlanConfig:
    """Remove top layers, re-initialize adapters, some or all layers, and stack layers for a weighted sum.

    Returns:
        The settings that apply to the encoder as it is now: without a preset, and without layers to remove.

    Raises:
        ConfigError: no layer would be left, or settings that exclude each other.
    """
    config = settled(config, encoder.depth)
    if config.from_scratch:
        _check_scratch(config)
    if config.drop_top:
        encoder.drop_top(config.drop_top)
    if (config.reinit_top or 0) > encoder.depth:
        raise ConfigError(f"plan.reinit_top is {config.reinit_top}, but the encoder has {encoder.depth} layers; wanted at most {encoder.depth}")  # fmt: skip  # noqa: E501
    if config.reinit_top:
        encoder.reinit_top(config.reinit_top)
    if config.attention_adapters and not encoder.adapter_modules:
        raise ConfigError(f"plan.attention_adapters is {config.attention_adapters!r}, but this {encoder.family} encoder has none; wanted an MMS model (adapter_attn_dim in its config.json)")  # fmt: skip  # noqa: E501
    if config.attention_adapters == "new":
        encoder.reinit_adapters()
    if config.from_scratch:
        encoder.load_state_dict(restore_encoder(encoder.describe()).state_dict())
    if config.weighted_layer_sum is not None:
        encoder.set_stacked(config.weighted_layer_sum)
    return replace(config, drop_top=None)


def needs_new_head(config: PlanConfig, encoder: Encoder) -> bool:
    """Whether `reshape` changes the input of a head that was trained with the encoder."""
    restacked = config.weighted_layer_sum is not None and config.weighted_layer_sum != encoder.stacked
    settings = settled(config, encoder.depth)
    adapters = settings.attention_adapters == "new"
    return bool(settings.drop_top or settings.reinit_top or settings.from_scratch or adapters) or restacked


#: Values of other plan settings that `from_scratch` allows.
_ALLOWED_FROM_SCRATCH = {
    "freeze_below": (None, 0), "train_top": (None,), "freeze_frontend": (None, False), "head_top": (None,),
    "train_embedding": (None, True), "reinit_top": (None, 0), "lora_rank": (None, 0),
    "attention_adapters": (None,),
}  # fmt: skip


def _check_scratch(config: PlanConfig) -> None:
    """Random weights must not be frozen."""
    for name, allowed in _ALLOWED_FROM_SCRATCH.items():
        if (value := getattr(config, name)) not in allowed:
            raise ConfigError(f"plan.from_scratch trains everything from random weights, which excludes plan.{name} ({value}); leave one of them out")  # fmt: skip  # noqa: E501
