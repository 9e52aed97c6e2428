"""The options that say what is frozen, what is trained and how fast; of every command that makes a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from speechxfer.config import located, read_settings
from speechxfer.errors import ConfigError
from speechxfer.transfer.presets import PRESETS

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: Option -> the setting it stands for; `plan` is looked up by `plan_layers`.
PLAN_SETTINGS = {
    name: f"plan.{name}"
    for name in (
        "freeze_below", "train_top", "freeze_frontend", "unfreeze_every", "wake", "head_first", "encoder_lr", "head_lr",
        "layer_decay", "drop_top", "reinit_top", "weighted_layers", "lora_rank",
    )
}  # fmt: skip
#: Heading and options in the help of such a command.
PLAN_GROUP = {"What is frozen, and how fast the rest learns": tuple(PLAN_SETTINGS)}
_OPTIONS = (
    click.option("--plan", metavar="NAME|FILE", help=f"What is frozen and how fast the rest moves: {', '.join(PRESETS)}, a TOML file with a table [plan], or, when training, auto (see `speechxfer plan`). The options below change parts of it."),  # noqa: E501
    click.option("--freeze-below", type=int, metavar="N", help="Keep layers below the Nth as they are."),
    click.option("--train-top", type=int, metavar="N", help="Train only the top N layers (and the head)."),
    click.option("--freeze-frontend/--train-frontend", default=None, help="Keep the convolutions below the layers as they are (default: keep)."),  # noqa: E501
    click.option("--encoder-lr", type=float, help="Peak learning rate of the encoder."),
    click.option("--head-lr", type=float, help="Peak learning rate of the head."),
    click.option("--layer-decay", type=float, metavar="SHARE", help="Each layer's rate as a share of that of the layer above it."),  # noqa: E501
    click.option("--unfreeze-every", type=int, metavar="EPOCHS", help="Begin with the head alone and wake one more layer every so many epochs."),  # noqa: E501
    click.option("--wake", metavar="LAYER@EPOCH,...", help="The same layer by layer, such as '3@2, 0-2@4, frontend@6'; what is not named is awake from the start."),  # noqa: E501
    click.option("--head-first", type=float, metavar="SHARE", help="Let a new head learn alone for this share of the epochs first."),  # noqa: E501
    click.option("--drop-top", type=int, metavar="N", help="Leave the upper N layers out of the model."),
    click.option("--reinit-top", type=int, metavar="N", help="Begin with random weights in the upper N layers."),
    click.option("--weighted-layers", is_flag=True, default=None, help="Let the head read a learned weighted sum of all layers."),  # noqa: E501
    click.option("--lora-rank", type=int, metavar="R", help="Train low-rank adapters instead of the layers (needs peft)."),  # noqa: E501
)  # fmt: skip


def plan_options(command: _Command) -> _Command:
    """Give a command the options of a plan."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def plan_layer(plan: str | None) -> Mapping[str, Any]:
    """The settings that `--plan` stands for; they replace those of a configuration file.

    Raises:
        ConfigError: it is neither a preset nor a file with a plan.
    """
    if plan is None:
        return {}
    if plan in PRESETS:
        return {"plan": {"preset": plan}}
    if not plan.endswith(".toml"):
        raise ConfigError(f"--plan {plan!r}: wanted one of {', '.join(PRESETS)}, or a .toml file with a table [plan]")
    values = read_settings(Path(located(plan)))
    if not isinstance(values.get("plan"), dict):
        raise ConfigError(f"{plan}: has no table [plan]")
    return values
