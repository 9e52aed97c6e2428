"""`speechxfer compare`: whether one model is better than another, or only luckier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from speechxfer.data.manifest import Manifest
    from speechxfer.data.text import TextNormalizer
    from speechxfer.evaluation.results import Evaluation
    from speechxfer.progress import Progress


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.argument("manifest")
@click.option("--normalizer", default="basic", show_default=True, help="Applied to all texts: basic, none, whisper-english, whisper-basic.")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="What is spoken, for a multilingual Whisper.")
@click.option("--differing", default=10, show_default=True, help="How many of the utterances that made the difference to show.")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON here instead of printing it.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def compare(
    *,
    first: str,
    second: str,
    manifest: str,
    normalizer: str,
    language: str | None,
    differing: int,
    output: Path | None,
    device: str,
) -> None:
    """Test whether B is better than A on MANIFEST by more than chance.

    A and B are models, or files that `speechxfer evaluate --predictions` wrote for the same manifest. Both answer the
    same utterances, so their errors are compared pair by pair: by a bootstrap over utterances, or over speakers where
    the manifest names at least five, and by the matched-pairs test of NIST.
    """
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.data.manifest import Manifest
    from speechxfer.data.text import TextNormalizer
    from speechxfer.evaluation.comparison import compare_systems
    from speechxfer.evaluation.metrics import damage
    from speechxfer.storage import write_json

    normalize, data, progress = TextNormalizer(normalizer), Manifest.read(manifest), TerminalProgress()
    _check((first, second), data)
    if warning := damage(data.texts, normalize):
        progress.log(warning)
    sides = [_results(name, data, normalize, language, device, progress) for name in (first, second)]
    found = compare_systems((first, second), *sides)
    columns = ("A", "B", "reference", f"A: {first}", f"B: {second}")
    progress.table("utterances that made the difference", columns, found.rows(differing))
    progress.log(found.summary())
    progress.log(found.verdict())
    values = found.to_dict(None if output else differing)
    if output:
        write_json(output, values)
    else:
        click.echo(json.dumps(values, ensure_ascii=False, indent=2))


def _is_file(name: str) -> bool:
    from speechxfer.data.rows import SUFFIXES

    return Path(name).suffix.lower() in SUFFIXES


def _check(names: tuple[str, str], manifest: Manifest) -> None:
    """Report what is missing before anything is computed."""
    from speechxfer.encoders.checkpoints import find
    from speechxfer.evaluation.matching import check_matching

    for name in names:
        if _is_file(name):
            check_matching(Path(name), manifest)
        else:
            find(name)
    if not all(map(_is_file, names)):
        manifest.check_files()


def _results(
    name: str, manifest: Manifest, normalizer: TextNormalizer, language: str | None, device: str, progress: Progress
) -> Evaluation:
    if _is_file(name):
        from speechxfer.evaluation.matching import read_matching

        return read_matching(Path(name), manifest, normalizer)

    from speechxfer.decoding.options import DecodingOptions
    from speechxfer.evaluation.evaluate import predict_all
    from speechxfer.evaluation.results import compare as compared
    from speechxfer.model import SpeechModel

    model = SpeechModel.load(name, device=device)
    model.head.check_measurable(manifest, normalizer)
    predictions = predict_all(model, manifest, options=DecodingOptions(language=language), progress=progress)
    return compared(manifest, predictions, normalizer)
