"""Tell spoken digits apart with a pre-trained encoder, with either head."""

from __future__ import annotations

from pathlib import Path

import click

import speechxfer as sx
from speechxfer.cli import Command
from speechxfer.cli.finetune import run
from speechxfer.config import build, merge, parse_assignment, read_toml

HERE = Path(__file__).parent


@click.command(cls=Command)
@click.option("--model", help="Pre-trained model (default: that of recipe.toml, Whisper tiny.en).")
@click.option("--head", type=click.Choice(["classification", "ctc"]), default="classification", show_default=True)
@click.option("--leave-out", metavar="SPEAKER", help="Test on this speaker, who is not trained on.")
@click.option("--data", type=click.Path(path_type=Path), default=Path("data/spoken_digits"), show_default=True)
@click.option("--output", type=click.Path(), help="Folder for the run (default: runs/digits-HEAD[-without-SPEAKER]).")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of recipe.toml.")
@click.option("--resume", is_flag=True, help="Go on with the run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the run in --output.")
def train(
    model: str | None,
    head: str,
    leave_out: str | None,
    data: Path,
    output: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    overwrite: bool,
) -> None:
    """Train, and print how well the test is told."""
    without = f"without-{leave_out}" if leave_out else ""
    files = {split: str((data / without / f"{split}.jsonl").resolve()) for split in ("train", "dev", "test")}
    named = {"head": head, "output": output or "-".join(filter(None, ["runs/digits", head, without]))}
    given = [{"model": model}] if model else []
    settings = [read_toml(HERE / "recipe.toml"), files, named, *given, *map(parse_assignment, assignments)]
    config = build(sx.FinetuneConfig, merge(settings))
    run(config, resume=resume, overwrite=overwrite)


if __name__ == "__main__":
    train()
