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
    from speechxfer.encoders import load_encoder
    from speechxfer.model import SpeechModel
    from speechxfer.transfer.plan import TransferPlan

    adapted = SpeechModel.load(model, device="cpu") if checkpoint.is_ours else None
    encoder = adapted.encoder if adapted else load_encoder(model, *checkpoint.read())
    wanted = PlanConfig(freeze_below=freeze_below, train_top=train_top, freeze_frontend=freeze_frontend)
    plan = TransferPlan.for_encoder(wanted, encoder)
    origin = f", adapted from {adapted.source}" if adapted else ""
    click.echo(f"{checkpoint.folder}{origin}")
    click.echo(
        f"{encoder.family} encoder: {encoder.depth} layers of width {encoder.width}, "
        f"{encoder.frame_rate:g} frames/s{f', {adapted.head.kind} head' if adapted else ''}"
    )
    head = adapted.head if adapted else None
    TerminalProgress().table("", ("part", "", "rate", "parameters"), plan.rows(encoder, head))
