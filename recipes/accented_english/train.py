"""Adapt Whisper to accented English: its own decoder (seq2seq), or a CTC head over characters on its encoder."""

from pathlib import Path

import click

import speechxfer as sx


@click.command(cls=sx.Command)
@click.option("--row", type=click.Choice(["seq2seq", "base", "ctc"]), default="seq2seq", show_default=True)
@click.option("--data", default="data/accented-english", show_default=True, help="Folder that prepare.py wrote.")
@click.option("--output", help="Folder for the run (default: runs/accented-english-ROW).")
@click.option("--resume", is_flag=True, help="Resume the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(row: str, data: str, output: str | None, resume: bool, overwrite: bool) -> None:
    """Train, and print the error rates before and after."""
    sx.finetune(
        config=Path(__file__).with_name(f"{row}.toml"), output=output or f"runs/accented-english-{row}",
        train=f"{data}/train.jsonl", dev=f"{data}/dev.jsonl", test=f"{data}/test.jsonl",
        resume=resume, overwrite=overwrite, progress=sx.TerminalProgress(),
    )  # fmt: skip


if __name__ == "__main__":
    train()
