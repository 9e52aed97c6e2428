"""`speechxfer plan`: which model and which way to transfer it, found by measuring and by short trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import MODEL, PATH
from speechxfer.config import flat, merge, parse_setting
from speechxfer.errors import ConfigError
from speechxfer.planner.excluded import NOT_IN_TRIALS

#: Settings that are options of `plan`.
_OWN_OPTIONS = ("model", "train", "dev", "head", "device", "output")

#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("models", "train", "dev", "head", "language", "budget", "output"),
    "What is tried": ("presets", "vary", "epochs", "assignments"),
}


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.option(
    "--model", "models", type=MODEL, multiple=True, required=True, help="Pre-trained model; several may be compared."
)
@click.option("--train", required=True, help="Manifest to learn from (.jsonl, .csv, .tsv).")
@click.option("--dev", required=True, help="Manifest that trials are measured on.")
@click.option(
    "--head",
    metavar="NAME",
    default="ctc",
    show_default=True,
    help="ctc, classification, seq2seq, or one of another package.",
)
@click.option("--language", metavar="LL", help="Spoken language, for the decoder of a multilingual Whisper, or the adapters of an MMS model.")  # fmt: skip  # noqa: E501
@click.option("--budget", default="15m", show_default=True, metavar="TIME", help="Time for everything: 90s, 15m, 1h.")
@click.option("--epochs", type=int, help="Epochs of the planned run.")
@click.option("--preset", "presets", multiple=True, help="Only these presets (default: all).")
@click.option("--vary/--no-vary", default=True, help="Also try other learning rates and depths, if there is time.")
@click.option("--strict", is_flag=True, default=None, help="Stop at an audio file that is a little shorter than it should be, rather than warn and use it.")  # fmt: skip  # noqa: E501
@click.option("--device", help="auto, cpu, cuda or cuda:N.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of the planned run.")
@click.option("--output", default="plan.toml", show_default=True, type=PATH, help="TOML file for finetune --plan; a page and JSON beside it.")  # fmt: skip  # noqa: E501
def plan(
    models: tuple[str, ...], budget: str, presets: tuple[str, ...], vary: bool, assignments: tuple[str, ...],
    output: Path, language: str | None, epochs: int | None, **options: Any,
) -> None:  # fmt: skip
    """Measure data and models, try promising plans, and write the best one."""
    changes = merge(map(parse_setting, assignments))
    _check_assignments(changes)
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"training.epochs": epochs} if epochs is not None else {}
    given |= {"language": language} if language else {}
    import speechxfer as sx

    sx.plan(
        models, budget=budget, presets=presets, vary=vary, output=output, progress=sx.TerminalProgress(),
        **given, **flat(changes),
    )  # fmt: skip


def _check_assignments(changes: Mapping[str, Any]) -> None:
    """Refuse what the planner decides by itself, and what has an option of its own; report what it does not look at.

    Raises:
        ConfigError: such a setting is among the changes.
    """
    for name, value in flat(dict(changes)).items():
        if name.startswith("plan."):
            raise ConfigError(f"--set {name}={value}: how the model is transferred is what the plan is to find; finetune with it, or try ways by --preset")  # fmt: skip  # noqa: E501
        if name in _OWN_OPTIONS:
            raise ConfigError(f"--set {name}={value}: give it as --{name}")
        if name in NOT_IN_TRIALS:
            click.echo(f"--set {name}={value}: has no effect on a plan; give it to finetune", err=True)
