"""Adapt a Whisper encoder to the telephone prompts of one language, with a CTC head over characters."""

from __future__ import annotations

from pathlib import Path

import click

import speechxfer as sx
from speechxfer.cli.finetune import show
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.config import build, merge, parse_assignment, read_toml

HERE = Path(__file__).parent


@click.command()
@click.option("--language", type=click.Choice(["en", "es", "fr", "it", "ru"]), default="it", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="What prepare.py wrote (default: data/ivr-LANGUAGE).")
@click.option("--output", type=click.Path(), help="Folder for the run (default: runs/ivr-LANGUAGE).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of recipe.toml.")
@click.option("--resume", is_flag=True, help="Go on with the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(
    language: str,
    data: Path | None,
    output: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    overwrite: bool,
) -> None:
    """Train, and print the error rates before and after."""
    data = (data or Path(f"data/ivr-{language}")).resolve()
    files = {split: str(data / f"{split}.jsonl") for split in ("train", "dev", "test")}
    settings = [read_toml(HERE / "recipe.toml"), files, {"output": output or f"runs/ivr-{language}"}]
    config = build(sx.FinetuneConfig, merge([*settings, *map(parse_assignment, assignments)]))
    progress = TerminalProgress()
    show(sx.finetune(config, resume=resume, overwrite=overwrite, progress=progress), progress)


if __name__ == "__main__":
    try:
        train()
    except sx.SpeechxferError as error:
        raise SystemExit(f"Error: {error}") from None
