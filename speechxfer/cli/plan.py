"""`speechxfer plan`: which model and which way to transfer it, found by measuring and by short trials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import PATH
from speechxfer.config import (
    FinetuneConfig,
    build,
    flat,
    merge,
    parse_setting,
    read_settings,
    to_dict,
)
from speechxfer.errors import ConfigError
from speechxfer.planner.untried import UNTRIED
from speechxfer.storage import only_writer

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Of `finetune --plan`: have a plan made first, and what may be spent on it.
AUTOMATIC = "auto"
_AUTOMATIC_S = 300.0
#: Settings that are options of `plan`.
_OWN_OPTIONS = ("model", "train", "dev", "head", "device", "output")

#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("models", "train", "dev", "head", "language", "budget", "output"),
    "What is tried": ("presets", "vary", "epochs", "assignments"),
}


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.option("--model", "models", multiple=True, required=True, help="Pre-trained model; several may be compared.")
@click.option("--train", required=True, help="Manifest to learn from (.jsonl, .csv, .tsv).")
@click.option("--dev", required=True, help="Manifest that trials are measured on.")
@click.option(
    "--head",
    metavar="NAME",
    default="ctc",
    show_default=True,
    help="ctc, classification, seq2seq, or one of another package.",
)
@click.option("--language", metavar="LL", help="What is spoken, for the decoder of a multilingual Whisper.")
@click.option("--budget", default="15m", show_default=True, metavar="TIME", help="For all of it: 90s, 15m, 1h.")
@click.option("--epochs", type=int, help="Of the run that is planned.")
@click.option("--preset", "presets", multiple=True, help="Only these ways to transfer (default: all).")
@click.option("--vary/--no-vary", default=True, help="Also try other learning rates and depths, where there is time.")
@click.option("--strict", is_flag=True, default=None, help="Stop at an audio file that is a little shorter than it should be, rather than warn and use it.")  # fmt: skip  # noqa: E501
@click.option("--device", help="auto, cpu, cuda or cuda:N.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any setting of the planned run.")
@click.option("--output", default="plan.toml", show_default=True, type=PATH, help="TOML file for finetune --plan; a page, a picture and JSON beside it.")  # fmt: skip  # noqa: E501
def plan(
    models: tuple[str, ...], budget: str, presets: tuple[str, ...], vary: bool, assignments: tuple[str, ...],
    output: Path, language: str | None, epochs: int | None, **options: Any,
) -> None:  # fmt: skip
    """Measure your data and models, try what is likely to do well, and write down which transfer fits."""
    if output.suffix != ".toml":
        raise ConfigError(f"--output {output}: the plan is TOML; wanted a name that ends in .toml")
    budget_s = seconds(budget)
    changes = merge(map(parse_setting, assignments))
    _check_assignments(changes)
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"model": models[0], "output": str(output.with_suffix(""))}
    given |= {"training": {"epochs": epochs}} if epochs is not None else {}
    given |= {"seq2seq": {"language": language}} if language else {}
    config = build(FinetuneConfig, merge([given, changes]))
    planned(config, list(dict.fromkeys(models)), budget_s, output, presets=presets, vary=vary)


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
        if name in UNTRIED:
            click.echo(f"--set {name}={value}: has no effect on a plan; give it to finetune", err=True)


def planned(
    config: FinetuneConfig, models: list[str], budget_s: float, output: Path,
    *, presets: tuple[str, ...] = (), vary: bool = True,
) -> None:  # fmt: skip
    """Make a plan, show it, and write it down.

    Raises:
        StorageError: another plan is being made there, or the folder cannot be written to.
    """
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a folder; wanted the name of a file")
    with only_writer(output.with_name(f".{output.name}.lock"), str(output)):
        # Only now torch: a wrong option is reported at once.
        from speechxfer.cli.terminal import TerminalProgress
        from speechxfer.planner.page import COLUMNS, rows, write_plan
        from speechxfer.planner.planner import make_plan

        progress = TerminalProgress()
        made = make_plan(config, models, budget_s, presets=presets or None, vary=vary, progress=progress)
        progress.table("candidates, the best first", COLUMNS, rows(made))
        written = write_plan(made, output)
    untried = "" if made.last(made.choice) else " (expected to do best; there was no time to try it, a longer --budget may)"  # fmt: skip  # noqa: E501
    progress.log(f"chosen: {made.choice.title(several=made.several)}{untried}")
    progress.log(f"written: {', '.join(map(str, written))}")


def automatic(values: dict[str, Any], *, resume: bool, overwrite: bool) -> dict[str, Any]:
    """The plan for a run that is about to begin, made beside its folder; one that is resumed keeps its own.

    Raises:
        ConfigError: the run's folder is not free, or several processes would make a plan each.
    """
    from speechxfer.runs import RunFolder
    from speechxfer.runs.ownership import check_free

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError("--plan auto: several processes would plan at once; run speechxfer plan first, then --plan plan.toml")  # fmt: skip  # noqa: E501
    config = build(FinetuneConfig, {**values, "plan": {}})
    run = RunFolder(config.output)
    path = run.path.with_name(f"{run.path.name}-plan.toml")
    if resume and run.is_run:
        return {"plan": to_dict(run.config.plan)}
    if not (resume and path.is_file()):
        check_free(run, config, resume=resume, overwrite=overwrite)
        planned(config, [config.model], _AUTOMATIC_S, path)
    return read_settings(path)


def seconds(text: str) -> float:
    """Seconds of "90s", "15m" or "1h"; a number alone is seconds.

    Raises:
        ConfigError: it is none of these.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smh]?)\s*", text)
    if not found or not float(found[1]):
        raise ConfigError(f"--budget {text!r}: wanted a time, for instance 90s, 15m or 1h")
    return float(found[1]) * _UNITS[found[2]]
