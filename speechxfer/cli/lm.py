"""`speechxfer lm`: language models that make a CTC model write words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speechxfer.cli.paths import MODEL, PATH
from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.data.text import TextNormalizer

_normalizer = click.option("--normalizer", help="How texts are written first (default: as --model does, or basic).")
_model = click.option("--model", help="The CTC model that the language model is for: its normalizer is used.")


@click.group()
def lm() -> None:
    """Train, tune and judge language models, which make a CTC model write words rather than sounds."""


@lm.command("train")
@click.argument("texts", nargs=-1, required=True, type=PATH)
@click.option("--output", required=True, type=PATH, help="The ARPA file to write; .gz at the end for a gzipped one.")
@click.option("--order", type=click.IntRange(1, 6), default=3, show_default=True, help="Words of the longest n-gram.")
@click.option("--prune", metavar="'0 0 1'", help="Leave out n-grams of each order that occur at most so often (default: none).")  # fmt: skip  # noqa: E501
@_model
@_normalizer
def train_command(
    texts: tuple[Path, ...], output: Path, order: int, prune: str | None, model: str | None, normalizer: str | None
) -> None:
    """Train an n-gram model on TEXTS: manifests, or text files with a sentence a line.

    Take the training manifest, and any other text of the domain; never dev or test.
    """
    import speechxfer as sx

    chosen = _chosen(model, normalizer)
    thresholds = _numbers(prune) if prune else ()
    found = sx.train_language_model(texts, order=order, prune=thresholds, normalizer=chosen, output=output)
    counts = ", ".join(f"{count} {size}-grams" for size, count in enumerate(found.grams.counts(), 1))
    click.echo(f"{output}: {counts} (normalizer {chosen})")


@lm.command()
@click.argument("language_model", type=PATH)
@click.argument("texts", nargs=-1, required=True, type=PATH)
@_model
@_normalizer
def perplexity(language_model: Path, texts: tuple[Path, ...], model: str | None, normalizer: str | None) -> None:
    """How well LANGUAGE_MODEL, an ARPA file, predicts TEXTS; as JSON."""
    from speechxfer.language_models import LanguageModel, read_arpa, sentences

    write = _chosen(model, normalizer)
    found = LanguageModel.of(read_arpa(language_model))
    for path in texts:
        seen = found.perplexity(map(write, sentences(path)))
        share = seen.unknown / max(seen.words, 1)
        row = {"texts": str(path), "perplexity": round(seen.value, 2), "sentences": seen.sentences, "words": seen.words, "unknown": round(share, 4)}  # fmt: skip  # noqa: E501
        click.echo(json.dumps(row, ensure_ascii=False))


@lm.command()
@click.argument("model", type=MODEL)
@click.option("--lm", "language_model", required=True, type=PATH, help="The ARPA file.")
@click.option("--dev", required=True, type=PATH, help="Manifest that decides; never the test split.")
@click.option("--output", required=True, type=PATH, help="Folder for the model with its language model.")
@click.option("--beams", type=click.IntRange(2), default=50, show_default=True, help="Texts that are followed at once.")
@click.option("--normalizer", default="basic", show_default=True, help="Applied to both sides before errors are counted.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def tune(model: str, language_model: Path, dev: Path, output: Path, beams: int, normalizer: str, device: str) -> None:
    """Find how much a language model should count beside MODEL, and save MODEL with it.

    The saved model decodes with the language model from then on; --beams 1 is without it.
    """
    import speechxfer as sx

    progress = sx.TerminalProgress()
    found = sx.tune_language_model(
        model, language_model, dev, normalizer, beams=beams, output=output, device=device, progress=progress
    )
    weights = found.fusion.weights
    progress.log(f"weights: language model {weights.language_model:g}, word {weights.word:+g}, unknown word {weights.unknown:+g}")  # fmt: skip  # noqa: E501
    progress.log(f"dev, greedy              {found.greedy}")
    progress.log(f"dev, with language model {found.fused}")
    progress.log(f"model: {output}")


def _chosen(model: str | None, normalizer: str | None) -> TextNormalizer:
    from speechxfer.data.text import TextNormalizer

    if model is None:
        return TextNormalizer(normalizer or "basic")
    if normalizer is not None:
        raise ConfigError("--model says how texts are written, and so does --normalizer; leave one of them out")
    found = getattr(_head(model), "normalizer", None)
    if not isinstance(found, TextNormalizer):
        raise ConfigError(f"--model {model}: has no CTC head, so a language model is not for it")
    return found


def _head(model: str) -> Any:
    """What is known of the head of a model, trained or exported."""
    from speechxfer.runtime.folder import is_exported

    if is_exported(model):
        import speechxfer as sx

        return sx.load(model).traits
    from speechxfer.encoders.checkpoints import find
    from speechxfer.opening import OWN, open_checkpoint

    return open_checkpoint(find(model), head=OWN).head


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise ConfigError(f"--prune {text!r}: wanted whole numbers, for instance --prune '0 0 1'") from None
