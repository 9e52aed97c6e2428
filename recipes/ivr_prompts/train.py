"""Adapt a Whisper to the telephone prompts of one language: a CTC head over characters, or its own decoder."""

from pathlib import Path

import click

import speechxfer as sx


@click.command(cls=sx.Command)
@click.option("--language", type=click.Choice(["en", "es", "fr", "it", "ru"]), default="it", show_default=True)
@click.option("--row", type=click.Choice(["ctc", "seq2seq", "base"]), default="ctc", show_default=True)
@click.option("--data", default="", help="Folder that prepare.py wrote (default: data/ivr-LANGUAGE).")
@click.option("--output", default="", help="Folder for the run (default: runs/ivr-LANGUAGE[-ROW]).")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training set (default: those of the settings).")
@click.option("--resume", is_flag=True, help="Resume the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(language: str, row: str, data: str, output: str, epochs: int | None, resume: bool, overwrite: bool) -> None:
    """Train, and print the error rates before and after."""
    data, name = data or f"data/ivr-{language}", f"ivr-{language}" if row == "ctc" else f"ivr-{language}-{row}"
    sx.finetune(
        config=Path(__file__).with_name(f"{row}.toml"), output=output or f"runs/{name}", progress=sx.TerminalProgress(),
        train=f"{data}/train.jsonl", dev=f"{data}/dev.jsonl", test=f"{data}/test.jsonl",
        language=None if row == "ctc" else language, training={"epochs": epochs} if epochs else {},
        resume=resume, overwrite=overwrite,
    )  # fmt: skip


if __name__ == "__main__":
    train()
