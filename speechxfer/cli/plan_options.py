"""The options that say what is frozen, what is trained and how fast; of every command that makes a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from speechxfer.transfer.presets import PRESETS

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: Option -> the setting it stands for; `plan` is looked up by `api.settings`.
PLAN_SETTINGS = {
    name: f"plan.{name}"
    for name in (
        "freeze_below", "train_top", "freeze_frontend", "unfreeze_every", "unfreeze_at", "head_only_ratio",
        "encoder_lr", "head_lr", "layer_decay", "drop_top", "reinit_top", "weighted_layer_sum", "lora_rank",
        "attention_adapters",
    )
}  # fmt: skip
#: Heading and options in the help of such a command.
PLAN_GROUP = {"What is frozen, and how fast the rest is trained": tuple(PLAN_SETTINGS)}
_OPTIONS = (
    click.option("--plan", metavar="NAME|FILE", help=f"What is frozen, and how fast the rest is trained: {', '.join(PRESETS)}, a TOML file with a table [plan], or, when training, auto (see `speechxfer plan`). The options below override parts of it."),  # noqa: E501
    click.option("--freeze-below", type=int, metavar="N", help="Freeze the layers below layer N."),
    click.option("--train-top", type=int, metavar="N", help="Train only the top N layers (and the head)."),
    click.option("--freeze-frontend/--train-frontend", default=None, help="Freeze the convolutions below the layers (default: freeze)."),  # noqa: E501
    click.option("--encoder-lr", type=float, help="Peak learning rate of the encoder."),
    click.option("--head-lr", type=float, help="Peak learning rate of the head."),
    click.option("--layer-decay", type=float, metavar="RATIO", help="Learning rate of each layer relative to the layer above it."),  # noqa: E501
    click.option("--unfreeze-every", type=int, metavar="EPOCHS", help="Train the head alone first, then unfreeze one more layer, from the top down, every so many epochs."),  # noqa: E501
    click.option("--unfreeze-at", metavar="LAYER@EPOCH,...", help="Unfreeze layers at these epochs, such as '3@2, 0-2@4, frontend@6'; others are trained from the start."),  # noqa: E501
    click.option("--head-only-ratio", type=float, metavar="RATIO", help="Train only a new head for this fraction of the epochs first."),  # noqa: E501
    click.option("--drop-top", type=int, metavar="N", help="Remove the top N layers of the encoder."),
    click.option("--reinit-top", type=int, metavar="N", help="Re-initialize the top N layers of the encoder."),
    click.option("--weighted-layer-sum", is_flag=True, default=None, help="Feed the head a learned weighted sum of all layers."),  # noqa: E501
    click.option("--lora-rank", type=int, metavar="R", help="Train LoRA adapters of this rank instead of the layers (needs peft)."),  # noqa: E501
    click.option("--attention-adapters", type=click.Choice(["own", "new"]), help="Train only the attention adapters that an MMS model has for each language: its own, or new ones with a new head."),  # noqa: E501
)  # fmt: skip


def plan_options(command: _Command) -> _Command:
    """Give a command the options of a plan."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
