"""`speechxfer models`: which models there are, and what one is made of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from speechxfer.api.settings import plan_settings
from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import MODEL
from speechxfer.cli.plan_options import PLAN_GROUP, PLAN_SETTINGS, plan_options
from speechxfer.config import HEADS, PlanConfig, build, merge
from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.encoders.checkpoints import Checkpoint
    from speechxfer.families.published import PublishedModel
    from speechxfer.heads.base import Head
    from speechxfer.opening import Opened


@click.group()
def models() -> None:
    """List and inspect models."""


@models.command(name="list")
@click.option("--language", metavar="LANGUAGE", help="Only models that were trained on this language, by its name or code.")  # fmt: skip  # noqa: E501
def list_(language: str | None) -> None:
    """Published models that open here, by the job they suit, with their sizes."""
    from speechxfer.families.published import published_models

    code = _code(language) if language else None
    found = [model for model in published_models() if code is None or model.may_know(code)]
    for job, group in itertools.groupby(found, key=lambda model: model.job):
        click.echo(f"{job}\n")
        click.echo(_columns([_HEADINGS, *(_line(model) for model in group)]) + "\n")
    click.echo(_LEGEND)
    if not all(model.is_available for model in found):
        click.echo("*: its family is not among those of this version.")


#: Headings of the table of `models list`; all but the first and the last two are numbers.
_HEADINGS = ("model", "parameters", "encoder", "GMAC/s", "states/s", "width", "languages", "license", "")
_LEGEND = """parameters: of the whole model, and of its encoder alone, in millions
GMAC/s, states/s, width: what a second of audio costs the encoder (billions of multiply-accumulates, in an utterance of
10 s), and how many hidden states of which width it becomes
Any model of these families opens, not only those listed; its own head and sizes: speechxfer models show NAME"""


def _code(language: str) -> str:
    from speechxfer.languages import language_code, similar_language

    if code := language_code(language):
        return code
    near = similar_language(language)
    raise ConfigError(f"--language is {language!r}, which is no known language{f'; did you mean {near}?' if near else ''}")  # fmt: skip  # noqa: E501


def _line(model: PublishedModel) -> tuple[str, ...]:
    """A model as one line of the table."""
    size = model.size
    counted = (
        (
            f"{size.parameters / 1e6:.0f} M", f"{size.encoder_parameters / 1e6:.0f} M", f"{size.gmacs_per_second:.1f}",
            f"{size.states_per_second:.3g}", str(size.width),
        )
        if size
        else ("",) * 5
    )  # fmt: skip
    name = model.name if model.is_available else f"{model.name} *"
    return (name, *counted, model.languages_in_short, model.license, model.note)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows below each other; numbers to the right."""
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = (0, len(sizes) - 2, len(sizes) - 1)
    aligned = [str.ljust if number in texts else str.rjust for number in range(len(sizes))]
    lines = ("  ".join(align(*cell) for align, cell in zip(aligned, zip(row, sizes))) for row in rows)  # noqa: B905
    return "\n".join(line.rstrip() for line in lines)


@models.command(cls=GroupedCommand, groups={"Most used": ("kind", "language", "plan", "epochs"), **PLAN_GROUP})
@click.argument("model", type=MODEL)
@click.option("--head", "kind", metavar="NAME", help="Head of the run (default: the model's own, if it has one).")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="The language, such as it, whose adapters and head an MMS model is opened with.")  # fmt: skip  # noqa: E501
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True, help="Epochs of the run, for layers that are unfrozen later.")  # fmt: skip  # noqa: E501
@plan_options
def show(
    model: str, kind: str | None, language: str | None, epochs: int, plan: str | None, **options: Any
) -> None:  # fmt: skip
    """Parts of MODEL with their sizes, and which of them a plan would freeze or train, how fast and from when on."""
    given = {PLAN_SETTINGS[name].removeprefix("plan."): value for name, value in options.items() if value is not None}
    plan_config = build(PlanConfig, merge([plan_settings(plan).get("plan", {}), given]), "plan.")
    from speechxfer.encoders.checkpoints import find

    checkpoint = find(model, weights=False, language=language)
    import torch

    # Sizes are all that is shown. But adapters are merged into weights, for which these are read.
    with torch.device("cpu" if checkpoint.has_adapter else "meta"):
        _show(checkpoint, kind, epochs, plan_config)


def _show(checkpoint: Checkpoint, kind: str | None, epochs: int, plan_config: PlanConfig) -> None:
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.opening import open_checkpoint
    from speechxfer.transfer.plan import COLUMNS, TransferPlan
    from speechxfer.transfer.reshape import needs_new_head, reshape

    opened = open_checkpoint(checkpoint, head=kind)
    encoder, head = opened.encoder, _head(checkpoint.name, opened, kind)
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
