"""Tell in which language a telephone prompt is spoken, and measure it on voices that training never heard."""

from __future__ import annotations

from pathlib import Path

import click

import speechxfer as sx
from speechxfer.cli import Command
from speechxfer.cli.finetune import run
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.config import build, merge, parse_assignment, read_toml
from speechxfer.storage import write_json

HERE = Path(__file__).parent


@click.command(cls=Command)
@click.option("--model", help="Pre-trained model (default: that of recipe.toml, Whisper tiny.en).")
@click.option("--data", type=click.Path(path_type=Path), default=Path("data/language_id"), show_default=True)
@click.option("--output", type=click.Path(), default="runs/language_id", show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of recipe.toml.")
@click.option("--resume", is_flag=True, help="Go on with the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(
    model: str | None, data: Path, output: str, assignments: tuple[str, ...], resume: bool, overwrite: bool
) -> None:
    """Train, and print how well the language is told: of known voices, and of others."""
    files = {split: str((data / f"{split}.jsonl").resolve()) for split in ("train", "dev", "test")}
    given = [{"model": model}] if model else []
    settings = [read_toml(HERE / "recipe.toml"), files, {"output": output}, *given]
    config = build(sx.FinetuneConfig, merge([*settings, *map(parse_assignment, assignments)]))
    done, progress = run(config, resume=resume, overwrite=overwrite), TerminalProgress()
    for name in ("other-voices", "other-voices-new"):
        result = sx.evaluate(done.model, sx.Manifest.read(data / f"{name}.jsonl"), progress=progress)
        write_json(done.folder / f"{name}.json", result.to_dict())
        heard = [row for row in result.classes.rows() if row[-1] != "0"]
        progress.table(name, ("language", "precision", "recall", "F1", "utterances"), heard)
        progress.log(f"{name}: {result.scores}")


if __name__ == "__main__":
    train()
