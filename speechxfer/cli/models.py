"""`speechxfer models`: what a model is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from speechxfer.api.settings import plan_settings
from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.plan_options import PLAN_GROUP, PLAN_SETTINGS, plan_options
from speechxfer.config import HEADS, PlanConfig, TrainingConfig, build, merge
from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.encoders.checkpoints import Checkpoint
    from speechxfer.heads.base import Head
    from speechxfer.opening import Opened


@click.group()
def models() -> None:
    """Inspect models."""


@models.command(cls=GroupedCommand, groups={"Most used": ("kind", "language", "plan", "epochs"), **PLAN_GROUP})
@click.argument("model")
@click.option("--head", "kind", metavar="NAME", help="Head of the run (default: the model's own, if it has one).")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="The language, such as it, whose adapters and head an MMS model is opened with.")  # fmt: skip  # noqa: E501
@click.option("--epochs", type=click.IntRange(1), default=TrainingConfig.epochs, show_default=True, help="Epochs of the run, for layers that are unfrozen later.")  # fmt: skip  # noqa: E501
@plan_options
def show(
    model: str, kind: str | None, language: str | None, epochs: int, plan: str | None, **options: Any
) -> None:  # fmt: skip
    """Parts of MODEL with their sizes, and which of them a plan would freeze or train, how fast and from when on."""
    given = {PLAN_SETTINGS[name].removeprefix("plan."): value for name, value in options.items() if value is not None}
    plan_config = build(PlanConfig, merge([plan_settings(plan).get("plan", {}), given]), "plan.")
    from speechxfer.encoders.checkpoints import find

    checkpoint = find(model, language=language)

    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.opening import open_checkpoint
    from speechxfer.transfer.plan import COLUMNS, TransferPlan
    from speechxfer.transfer.reshape import needs_new_head, reshape

    opened = open_checkpoint(checkpoint, head=kind)
    encoder, head = opened.encoder, _head(model, opened, kind)
    click.echo(f"{checkpoint.folder}{_origin(checkpoint, opened)}")
    click.echo(
        f"{encoder.family} encoder: {encoder.depth} layers of width {encoder.width}, "
        f"{encoder.frame_rate:g} frames/s{_own_head(opened)}"
    )
    if checkpoint.languages:
        click.echo(f"opened in {opened.language!r} of its {len(checkpoint.languages)} languages (--language)")
    if opened.problem:
        click.echo(f"its own head cannot be opened: {opened.problem}")
    if head and not HEADS[head.kind].comes_with_checkpoint and needs_new_head(plan_config, encoder):
        head = None
    plan_config = reshape(plan_config, encoder)
    fitted = TransferPlan.for_model(plan_config, encoder, head, epochs=epochs, new_head=head is None)
    fitted.attach(encoder, head)
    rows = fitted.rows(encoder, head)
    if head is None:
        rows.append((f"{kind or 'new'} head", "new", f"{fitted.head_lr:.3g}", "1", "as many as the labels need"))
    TerminalProgress().table("", COLUMNS, rows)


def _origin(checkpoint: Checkpoint, opened: Opened) -> str:
    if checkpoint.base:
        return f", an adapter merged into {checkpoint.base.folder}"
    if checkpoint.has_adapter:
        return ", with the adapter beside it merged"
    return f", adapted from {opened.source}" if checkpoint.is_ours else ""


def _own_head(opened: Opened) -> str:
    """The head that the checkpoint has, whatever head was asked for."""
    if opened.own_decoder:
        return f", with its own decoder (--head {opened.own_decoder})"
    return f", {opened.head.summary()}" if opened.head else ""


def _head(model: str, opened: Opened, kind: str | None) -> Head | None:
    """The model's own head where it is of the kind that was asked for; None where there would be a new one.

    Raises:
        ConfigError: a decoder was asked for that the model does not have.
    """
    if opened.head is not None and kind in (None, opened.head.kind):
        return opened.head
    if kind is not None and HEADS.find(kind, setting="--head").comes_with_checkpoint:
        reason = opened.problem or f"{model} has none"
        raise ConfigError(
            f"--head {kind} is {HEADS[kind].summary}, but {reason}; wanted a model with it, or another head"
        )
    return None
