"""`speechxfer models`: what a model is made of."""

from __future__ import annotations

import click


@click.group()
def models() -> None:
    """Look at models."""


@models.command()
@click.argument("model")
@click.option("--freeze-below", type=int, metavar="N", help="As in finetune.")
@click.option("--train-top", type=int, metavar="N", help="As in finetune.")
@click.option("--freeze-frontend/--train-frontend", default=True, help="As in finetune.")
def show(model: str, freeze_below: int | None, train_top: int | None, freeze_frontend: bool) -> None:
    """Parts of MODEL with their sizes, and which of them a plan would freeze or train."""
    from speechxfer.config import PlanConfig
    from speechxfer.encoders.checkpoints import find

    checkpoint = find(model)

    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.model import open_checkpoint
    from speechxfer.transfer.plan import TransferPlan

    opened = open_checkpoint(checkpoint)
    encoder, head = opened.encoder, opened.head
    wanted = PlanConfig(freeze_below=freeze_below, train_top=train_top, freeze_frontend=freeze_frontend)
    plan = TransferPlan.for_model(wanted, encoder, head)
    origin = f", adapted from {opened.source}" if checkpoint.is_ours else ""
    click.echo(f"{checkpoint.folder}{origin}")
    click.echo(
        f"{encoder.family} encoder: {encoder.depth} layers of width {encoder.width}, "
        f"{encoder.frame_rate:g} frames/s{f', {head.kind} head' if head else ''}"
    )
    TerminalProgress().table("", ("part", "", "rate", "parameters"), plan.rows(encoder, head))
