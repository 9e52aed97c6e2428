"""`speechxfer evaluate`: error rates of a model on a manifest."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("model")
@click.argument("manifest")
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON here instead of printing it.")
@click.option("--normalizer", default="basic", show_default=True, help="Applied to both sides: basic or none.")
@click.option("--language", metavar="LL", help="What is spoken, for a multilingual Whisper.")
@click.option("--worst", default=10, show_default=True, help="How many of the worst utterances to show.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def evaluate(
    model: str,
    manifest: str,
    output: Path | None,
    normalizer: str,
    language: str | None,
    worst: int,
    device: str,
) -> None:
    """Transcribe or classify MANIFEST with MODEL; scores as JSON, and the worst utterances."""
    from speechxfer.data.manifest import Manifest
    from speechxfer.data.text import TextNormalizer

    normalize, data = TextNormalizer(normalizer), Manifest.read(manifest)
    data.check_files()

    from speechxfer.encoders.checkpoints import find

    find(model)  # before torch, so that a misspelt name is told at once

    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.evaluation.evaluate import evaluate as measure
    from speechxfer.evaluation.evaluate import worst_table
    from speechxfer.model import SpeechModel
    from speechxfer.storage import write_json

    progress = TerminalProgress()
    result = measure(SpeechModel.load(model, device=device), data, normalize, language=language, progress=progress)
    progress.table("the worst utterances", ("errors", "reference", "hypothesis"), worst_table(result.results, worst))
    progress.say(str(result.scores))
    if output:
        write_json(output, result.to_dict(worst))
    else:
        click.echo(json.dumps(result.to_dict(worst), ensure_ascii=False, indent=2))
