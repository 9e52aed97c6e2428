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
#: What a head changes in recipe.toml.
HEADS: dict[str, dict[str, Any]] = {
    "ctc": {},
    "seq2seq": {
        "head": "seq2seq",
        "plan": {"train_top": 2, "encoder_lr": 1e-4, "head_lr": 1e-4},
        "training": {"epochs": 8, "batch_s": 30.0},
    },
}


@click.command(cls=Command)
@click.option("--language", type=click.Choice(["en", "es", "fr", "it", "ru"]), default="it", show_default=True)
@click.option("--head", type=click.Choice(list(HEADS)), default="ctc", show_default=True)
@click.option(
    "--model", help="Another Whisper than that of recipe.toml; --head seq2seq wants one that knows the language."
)
@click.option("--data", type=click.Path(path_type=Path), help="What prepare.py wrote (default: data/ivr-LANGUAGE).")
@click.option("--output", type=click.Path(), help="Folder for the run (default: runs/ivr-LANGUAGE).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of recipe.toml.")
@click.option("--resume", is_flag=True, help="Go on with the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(
    language: str,
    head: str,
    model: str | None,
    data: Path | None,
    output: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    overwrite: bool,
) -> None:
    """Train, and print the error rates before and after."""
    data = (data or Path(f"data/ivr-{language}")).resolve()
    files = {split: str(data / f"{split}.jsonl") for split in ("train", "dev", "test")}
    where = {"output": output or f"runs/ivr-{language}" + ("-seq2seq" if head == "seq2seq" else "")}
    spoken = {"seq2seq": {"language": language}} if head == "seq2seq" else {}
    settings = [read_toml(HERE / "recipe.toml"), HEADS[head], {"model": model} if model else {}, spoken, files, where]
    config = build(sx.FinetuneConfig, merge([*settings, *map(parse_assignment, assignments)]))
    run(config, resume=resume, overwrite=overwrite)


if __name__ == "__main__":
    train()
