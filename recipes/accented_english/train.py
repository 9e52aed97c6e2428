"""Adapt Whisper to accented English: its own decoder (seq2seq), or a CTC head over characters on its encoder."""

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
    "seq2seq": {},
    "base": {
        "model": "data/whisper-base",
        "plan": {"train_top": 6, "encoder_lr": 7e-5, "head_lr": 7e-5},
        "augment": {
            "where": "spectrogram",
            "mask_time_length": 20,
            "mask_feature_prob": 0.15,
            "mask_feature_length_percent": 12,
            "frequency_warp": 0.1,
        },
        "seq2seq": {"language": "en"},
    },
    "ctc": {
        "head": "ctc",
        "plan": {"encoder_lr": 3e-4, "head_lr": 3e-3},
        "training": {"epochs": 15, "batch_seconds": 30.0},
    },
}


@click.command(cls=Command)
@click.option("--row", type=click.Choice(list(ROWS)), default="seq2seq", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data/accented-english"), show_default=True)
@click.option("--output", type=click.Path(), help="Folder for the run (default: runs/accented-english-ROW).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of recipe.toml.")
@click.option("--resume", is_flag=True, help="Go on with the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(
    row: str, data: Path, output: str | None, assignments: tuple[str, ...], resume: bool, overwrite: bool
) -> None:
    """Train, and print the error rates before and after."""
    files = {split: str(data.resolve() / f"{split}.jsonl") for split in ("train", "dev", "test")}
    layers = [read_toml(HERE / "recipe.toml"), ROWS[row], files, {"output": output or f"runs/accented-english-{row}"}]
    config = build(sx.FinetuneConfig, merge([*layers, *map(parse_assignment, assignments)]))
    run(config, resume=resume, overwrite=overwrite)


if __name__ == "__main__":
    train()
