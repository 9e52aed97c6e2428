"""Adapt a Whisper to the telephone prompts of one language: a CTC head over characters, or its own decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from speechxfer.cli import Command
from speechxfer.cli.finetune import run
from speechxfer.config import build, merge, parse_assignment, read_toml

HERE = Path(__file__).parent
#: What a row changes in recipe.toml.
ROWS: dict[str, dict[str, Any]] = {
    "ctc": {},
    "seq2seq": {
        "head": "seq2seq",
        "plan": {"train_top": 2, "encoder_lr": 1e-4, "head_lr": 1e-4},
        "training": {"epochs": 8, "batch_seconds": 30.0},
    },
    "base": {
        "model": "data/whisper-base",
        "head": "seq2seq",
        "plan": {"train_top": 3, "encoder_lr": 7e-5, "head_lr": 7e-5},
        "training": {"epochs": 6, "batch_seconds": 30.0, "speed_copies": 0, "ema_epochs": 1.0},
        "seq2seq": {"beams": 5},
    },
}


@click.command(cls=Command)
@click.option("--language", type=click.Choice(["en", "es", "fr", "it", "ru"]), default="it", show_default=True)
@click.option("--row", type=click.Choice(list(ROWS)), default="ctc", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="What prepare.py wrote (default: data/ivr-LANGUAGE).")
@click.option("--output", type=click.Path(), help="Folder for the run (default: runs/ivr-LANGUAGE[-ROW]).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of recipe.toml.")
@click.option("--resume", is_flag=True, help="Go on with the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(
    language: str,
    row: str,
    data: Path | None,
    output: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    overwrite: bool,
) -> None:
    """Train, and print the error rates before and after."""
    data = (data or Path(f"data/ivr-{language}")).resolve()
    files = {split: str(data / f"{split}.jsonl") for split in ("train", "dev", "test")}
    where = {"output": output or f"runs/ivr-{language}" + ("" if row == "ctc" else f"-{row}")}
    spoken = {} if row == "ctc" else {"seq2seq": {"language": language}}
    settings = [read_toml(HERE / "recipe.toml"), ROWS[row], spoken, files, where]
    config = build(sx.FinetuneConfig, merge([*settings, *map(parse_assignment, assignments)]))
    run(config, resume=resume, overwrite=overwrite)


if __name__ == "__main__":
    train()
