"""Tell in which language a telephone prompt is spoken, and measure it on voices that are not in training."""

import json
from pathlib import Path

import click

import speechxfer as sx


@click.command(cls=sx.Command)
@click.option("--model", help="Pre-trained model (default: Whisper tiny.en).")
@click.option("--data", default="data/language_id", show_default=True, help="Folder that prepare.py wrote.")
@click.option("--output", default="runs/language_id", show_default=True, help="Folder for the run.")
@click.option("--resume", is_flag=True, help="Resume the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(model: str | None, data: str, output: str, resume: bool, overwrite: bool) -> None:
    """Train, and print how often the language is right: of known voices, and of others."""
    progress = sx.TerminalProgress()
    run = sx.finetune(
        model, config=Path(__file__).with_name("recipe.toml"), output=output, resume=resume, overwrite=overwrite,
        train=f"{data}/train.jsonl", dev=f"{data}/dev.jsonl", test=f"{data}/test.jsonl", progress=progress,
    )  # fmt: skip
    for name in ("other-voices", "other-voices-new"):
        result = sx.evaluate(run, f"{data}/{name}.jsonl", progress=progress)
        Path(output, f"{name}.json").write_text(json.dumps(result.to_dict(), ensure_ascii=False, indent=2))
        spoken = [row for row in result.classes.rows() if row[-1] != "0"]
        progress.table(name, ("language", "precision", "recall", "F1", "utterances"), spoken)
        progress.log(f"{name}: {result.scores}")


if __name__ == "__main__":
    train()
