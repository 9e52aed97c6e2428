"""`speechxfer evaluate`: error rates of a model on a manifest, or how well it tells classes apart."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speechxfer.cli.decoding_options import decoding_options
from speechxfer.cli.engine_options import Cluster, engine_options
from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import MODEL
from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.data.manifest import Manifest
    from speechxfer.data.text import TextNormalizer
    from speechxfer.decoding.options import DecodingOptions
    from speechxfer.evaluation.register import Metric
    from speechxfer.evaluation.results import Evaluation
    from speechxfer.predictor import Predictor
    from speechxfer.progress import Progress

_PATH = click.Path(path_type=Path)

#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("output", "normalizer", "language", "worst", "device"),
    "Figures in more detail": ("metrics", "columns", "keywords", "train", "confusion", "predictions"),
    "Decoding": ("task", "beams", "prompt", "hotwords"),
    "Where utterances are computed": ("engine", "address", "actors"),
}


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.argument("model", type=MODEL)
@click.argument("manifest")
@click.option("--output", type=_PATH, help="Write the JSON here instead of printing it.")
@click.option(
    "--normalizer",
    default="basic",
    show_default=True,
    help="Applied to both sides: basic, none, whisper-english, whisper-basic.",
)
@decoding_options
@click.option("--worst", default=10, show_default=True, help="Number of worst utterances to show.")
@click.option("--metric", "metrics", metavar="NAME", multiple=True, help="Metric to show, instead of the usual ones; may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--slice", "columns", metavar="COLUMN", multiple=True, help="Scores for each value of a column of the manifest, or of duration, words or snr (estimated); may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--keywords", type=_PATH, help="File with a word or phrase per line: print their recall and precision.")  # fmt: skip  # noqa: E501
@click.option(
    "--train", type=_PATH, help="Training manifest: print the error rates of words that are new or rare there."
)
@click.option("--predictions", "--hypotheses", type=_PATH, help="Write the prediction for each utterance here, with its alignment, for `speechxfer compare`.")  # fmt: skip  # noqa: E501
@click.option("--confusion", type=_PATH, help="Draw a classifier's confusion matrix here, a PNG.")
@click.option("--strict", is_flag=True, help="Stop at an audio file that is a little shorter than it should be, rather than warn and use it.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@engine_options("utterances")
def evaluate(
    *,
    model: str,
    manifest: str,
    output: Path | None,
    normalizer: str,
    decoding: DecodingOptions,
    worst: int,
    metrics: tuple[str, ...],
    columns: tuple[str, ...],
    keywords: Path | None,
    train: Path | None,
    predictions: Path | None,
    confusion: Path | None,
    strict: bool,
    device: str,
    cluster: Cluster | None,
) -> None:
    """Transcribe or classify MANIFEST with MODEL; scores with intervals as JSON, and the worst utterances.

    In the place of a model there may be a folder that `speechxfer transcribe --output` wrote for this manifest.
    """
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.data.manifest import Manifest
    from speechxfer.data.text import TextNormalizer
    from speechxfer.jobs.transcripts import is_job

    shown = _metrics(metrics)
    _check_outputs(predictions, confusion)
    normalize, data = TextNormalizer(normalizer), Manifest.read(manifest)
    data = data.strictly() if strict else data
    details, progress = _Details.prepare(data, normalize, columns, keywords, train), TerminalProgress()
    if is_job(model):
        unused = [*decoding.given(), *["confusion"] * bool(confusion), *["engine"] * bool(cluster)]
        result = _of_transcripts(model, data, normalize, unused, progress)
    else:
        data.check_files()
        check = functools.partial(_check, model, confusion, keywords or train)
        result = _of_model(model, data, normalize, decoding, device, cluster, progress, check)
    _write(result, predictions, confusion)
    _show(result, shown, worst, progress)
    _print({**result.to_dict(worst), **decoding.given(), **details.found(result, progress)}, output)


def _of_model(
    name: str, manifest: Manifest, normalizer: TextNormalizer, decoding: DecodingOptions, device: str,
    cluster: Cluster | None, progress: Progress, check: Callable[[Predictor], None],
) -> Evaluation:  # fmt: skip
    """How wrong a model is that passes a check; one that is misspelled is reported before torch is imported."""
    import speechxfer as sx
    from speechxfer.api.evaluation import opened_predictor

    engine = cluster.engine(device) if cluster else None
    model = opened_predictor(name, "cpu" if engine else device, decoding.language)
    check(model)
    return sx.evaluate(
        name if engine else model, manifest, normalizer, options=decoding, device=device, progress=progress,
        engine=engine,
    )  # fmt: skip


def _of_transcripts(
    name: str, manifest: Manifest, normalizer: TextNormalizer, unused: Sequence[str], progress: Progress
) -> Evaluation:
    """How wrong the texts of a folder are; utterances with an error are left out."""
    from speechxfer.evaluation.results import compare
    from speechxfer.jobs.transcripts import transcripts_of

    if unused:
        raise ConfigError(f"{name} holds texts, which are not made again; leave out --{unused[0]}")
    found = transcripts_of(Path(name).expanduser(), manifest)
    if found.failed:
        utterance, reason = found.failed[0]
        progress.log(f"{len(found.failed):,} of {len(manifest):,} utterances have an error and are not measured; the first is {utterance.origin}: {reason}")  # fmt: skip  # noqa: E501
    return compare(found.manifest, found.predictions, normalizer)


def _print(scores: Mapping[str, Any], output: Path | None) -> None:
    """As JSON, to a file where one is named."""
    from speechxfer.storage import write_json

    if output:
        write_json(output, scores)
    else:
        click.echo(json.dumps(scores, ensure_ascii=False, indent=2))


def _check_outputs(predictions: Path | None, confusion: Path | None) -> None:
    """Refuse names that nothing can be written under, before the work."""
    from speechxfer.data.rows import check_suffix
    from speechxfer.evaluation.confusion import check_confusion

    if confusion:
        check_confusion(confusion)
    if predictions:
        check_suffix(predictions)


def _write(result: Evaluation, predictions: Path | None, confusion: Path | None) -> None:
    """The files besides the scores."""
    from speechxfer.evaluation.confusion import draw_confusion
    from speechxfer.evaluation.predictions import write_predictions

    if predictions:
        write_predictions(predictions, result)
    if confusion:
        draw_confusion(result.classes, confusion)


def _check(name: str, confusion: Path | None, words: Path | None, model: Predictor) -> None:
    """Refuse what the model has not."""
    if confusion and model.traits.task != "classification":
        raise ConfigError(f"--confusion: {name} writes text and knows no classes; leave it out")
    if words and model.traits.task == "classification":
        raise ConfigError(f"--keywords and --train: {name} knows classes and writes no words; leave them out")


def _metrics(names: Sequence[str]) -> Mapping[str, Metric]:
    """The metrics to show."""
    from speechxfer.evaluation.register import METRICS

    chosen = names or [name for name, metric in METRICS.items() if metric.in_report]
    return {name: METRICS.find(name, setting="--metric") for name in chosen}


def _show(result: Evaluation, metrics: Mapping[str, Metric], worst: int, progress: Progress) -> None:
    from speechxfer.evaluation.classes import ClassScores
    from speechxfer.evaluation.results import worst_table

    progress.table("the worst utterances", ("errors", "reference", "hypothesis"), worst_table(result.results, worst))
    if isinstance(result.scores, ClassScores):
        progress.table("the classes", ("class", "precision", "recall", "F1", "utterances"), result.scores.rows())
    progress.log(str(result))
    progress.log(str(result.intervals))
    figures = [(metrics[name].title, f"{value:.3f}", metrics[name].meaning) for name, value in result.metrics.items() if name in metrics]  # fmt: skip  # noqa: E501
    progress.table("figures", ("metric", "value", ""), figures)
    if found := result.reliability:
        title = f"confidences of words (expected calibration error {found.error:.3f})"
        progress.table(title, ("confidence", "right", "words"), [one.row() for one in found.bins])


@dataclass(frozen=True)
class _Details:
    """What is asked for beyond the figures of the whole manifest, read before the work."""

    columns: Sequence[str]
    keywords: list[str]
    training_texts: list[str]
    normalizer: TextNormalizer

    @classmethod
    def prepare(
        cls,
        manifest: Manifest,
        normalizer: TextNormalizer,
        columns: Sequence[str],
        keywords: Path | None,
        train: Path | None,
    ) -> _Details:
        from speechxfer.data.loading import texts
        from speechxfer.data.manifest import Manifest as Reader
        from speechxfer.evaluation.keywords import read_keywords
        from speechxfer.evaluation.slices import check_columns

        check_columns(manifest, columns)
        return cls(
            columns,
            read_keywords(keywords, normalizer) if keywords else [],
            texts(Reader.read(train)) if train else [],
            normalizer,
        )

    def found(self, result: Evaluation, progress: Progress) -> dict[str, Any]:
        """Tables for the reader, and the same as plain values for JSON."""
        from speechxfer.evaluation.keywords import keyword_scores, word_scores
        from speechxfer.evaluation.slices import slices

        found: dict[str, Any] = {}
        pairs = [one.pair for one in result.results if one.pair is not None]
        for column in self.columns:
            parts = slices(result, column, progress)
            rate = "WER" if pairs else "error"
            progress.table(f"by {column}", (column, "utterances", "words", rate), [part.row() for part in parts])
            found.setdefault("slices", {})[column] = [part.to_dict() for part in parts]
        if self.keywords:
            scores = keyword_scores(pairs, self.keywords)
            columns = ("keyword", "said", "recall", "written", "precision")
            progress.table("keywords", columns, [score.row() for score in scores])
            found["keywords"] = [score.to_dict() for score in scores]
        if self.training_texts:
            words = word_scores(pairs, self.training_texts, self.normalizer)
            title = "words by how often they occur in training"
            progress.table(title, ("in training", "words", "wrong", "share"), [score.row() for score in words])
            found["words_by_training"] = [score.to_dict() for score in words]
        return found
