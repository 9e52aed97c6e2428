"""`speechxfer evaluate`: error rates of a model on a manifest, or how well it tells classes apart."""

from __future__ import annotations

import json
from pathlib import Path

import click

from speechxfer.errors import ConfigError


@click.command()
@click.argument("model")
@click.argument("manifest")
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON here instead of printing it.")
@click.option(
    "--normalizer",
    default="basic",
    show_default=True,
    help="Applied to both sides: basic, none, whisper-english, whisper-basic.",
)
@click.option("--language", metavar="LL", help="What is spoken, for a multilingual Whisper.")
@click.option("--worst", default=10, show_default=True, help="How many of the worst utterances to show.")
@click.option("--confusion", type=click.Path(path_type=Path), help="Draw a classifier's confusion matrix here, a PNG.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def evaluate(
    model: str,
    manifest: str,
    output: Path | None,
    normalizer: str,
    language: str | None,
    worst: int,
    confusion: Path | None,
    device: str,
) -> None:
    """Transcribe or classify MANIFEST with MODEL; scores as JSON, and the worst utterances."""
    from speechxfer.data.manifest import Manifest
    from speechxfer.data.text import TextNormalizer
    from speechxfer.evaluation.confusion import check_confusion, draw_confusion

    if confusion:
        check_confusion(confusion)

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
    loaded = SpeechModel.load(model, device=device)
    if confusion and loaded.head.task != "classification":
        raise ConfigError(f"--confusion: {model} writes text and knows no classes; leave it out")
    result = measure(loaded, data, normalize, language=language, progress=progress)
    progress.table("the worst utterances", ("errors", "reference", "hypothesis"), worst_table(result.results, worst))
    if loaded.head.task == "classification":
        progress.table("the classes", ("class", "precision", "recall", "F1", "utterances"), result.classes.rows())
    progress.say(str(result.scores))
    if confusion:
        draw_confusion(result.classes, confusion)
    if output:
        write_json(output, result.to_dict(worst))
    else:
        click.echo(json.dumps(result.to_dict(worst), ensure_ascii=False, indent=2))
