"""What a model says of a manifest, and how wrong that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read, texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.evaluation.classes import ClassScores, class_scores, wrong_labels
from speechxfer.evaluation.metrics import ErrorRates, error_rates, wrong_words
from speechxfer.heads.classification import ClassificationHead
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress

#: Seconds of audio decoded together.
_BATCH_S = 30.0


class Scores(Protocol):
    """How good predictions are, whatever they are of: error rates of transcripts, or scores of classes."""

    @property
    def rank(self) -> tuple[float, ...]:
        """What decides between two models; lower is better."""

    @property
    def relative_error(self) -> float:
        """The error as a share of what is reached without listening; at 1 nothing has been learned."""

    @property
    def summary(self) -> dict[str, float]:
        """The most telling figures by name."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""


@dataclass(frozen=True)
class Result:
    """An utterance with what the model says of it and how much of that is wrong: words, or classes."""

    utterance: Utterance
    reference: str
    hypothesis: str
    errors: int


@dataclass(frozen=True)
class Evaluation:
    """Scores of a manifest and every utterance's part in them, the worst first."""

    scores: ErrorRates | ClassScores
    results: tuple[Result, ...]

    @property
    def rates(self) -> ErrorRates:
        """Error rates, where transcripts were compared.

        Raises:
            TypeError: classes were.
        """
        if not isinstance(self.scores, ErrorRates):
            raise TypeError("an evaluation of classes has scores, but no error rates of words")
        return self.scores

    @property
    def classes(self) -> ClassScores:
        """Scores of classes, where those were compared.

        Raises:
            TypeError: transcripts were.
        """
        if isinstance(self.scores, ErrorRates):
            raise TypeError("an evaluation of transcripts has rates, but no scores of classes")
        return self.scores

    def to_dict(self, num_worst: int = 20) -> dict[str, Any]:
        """Scores and the worst utterances, as plain values for JSON."""
        worst = [
            {
                "audio": result.utterance.audio,
                "line": result.utterance.origin,
                "reference": result.reference,
                "hypothesis": result.hypothesis,
                "errors": result.errors,
            }
            for result in self.results[:num_worst]
            if result.errors
        ]
        return {**self.scores.to_dict(), "worst": worst}


def evaluate(
    model: SpeechModel,
    manifest: Manifest,
    normalizer: TextNormalizer | None = None,
    *,
    language: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Transcribe or classify a manifest and compare with its texts or labels.

    Args:
        normalizer: how texts are written before they are compared; without one, as `basic` does.

    Raises:
        DataError: an utterance without text or label, a label the model does not know, or unreadable audio.
    """
    if isinstance(model.head, ClassificationHead):
        model.head.labels.check(manifest)  # before the work
    else:
        texts(manifest)
    predictions = predict_all(model, manifest, language=language, progress=progress)
    return compare(manifest, predictions, normalizer or TextNormalizer())


def compare(manifest: Manifest, predictions: Sequence[Prediction], normalizer: TextNormalizer) -> Evaluation:
    """Predictions against the manifest's texts or labels.

    Raises:
        DataError: an utterance without text or label.
    """
    results = [
        _result(utterance, prediction, normalizer) for utterance, prediction in zip(manifest, predictions, strict=True)
    ]
    results.sort(key=lambda result: -result.errors)
    return Evaluation(score(manifest, predictions, normalizer), tuple(results))


def score(
    manifest: Manifest, predictions: Sequence[Prediction], normalizer: TextNormalizer
) -> ErrorRates | ClassScores:
    """The figures alone; the predictions are all of one kind.

    Raises:
        DataError: an utterance without text or label.
    """
    classes = [item for item in predictions if isinstance(item, Classification)]
    if classes:
        return class_scores(manifest, classes)
    hypotheses = [item.text for item in predictions if isinstance(item, Hypothesis)]
    return error_rates(texts(manifest), hypotheses, normalizer)


def idle_share(predictions: Sequence[Prediction]) -> float:
    """The share of transcripts without a word, or of classifications that name the same class as most do."""
    said = Counter(item.text if isinstance(item, Hypothesis) else item.label for item in predictions)
    idle = said[""] if isinstance(predictions[0], Hypothesis) else max(said.values())
    return idle / len(predictions)


def _result(utterance: Utterance, prediction: Prediction, normalizer: TextNormalizer) -> Result:
    if isinstance(prediction, Classification):
        reference = utterance.label or ""
        return Result(utterance, reference, prediction.label, wrong_labels(reference, prediction))
    reference = utterance.text or ""
    return Result(utterance, reference, prediction.text, wrong_words(reference, prediction.text, normalizer))


def predict_all(
    model: SpeechModel, manifest: Manifest, *, language: str | None = None, progress: Progress | None = None
) -> list[Prediction]:
    """One prediction for each utterance, computed in batches of like length.

    Raises:
        DataError: unreadable audio, or longer than the model takes at once.
    """
    durations = durations_s(manifest, model.encoder.max_duration_s)
    costs = [model.encoder.computed_s(duration) for duration in durations]
    found: dict[int, Prediction] = {}
    doing = "classifying" if model.head.task == "classification" else "transcribing"
    with (progress or Progress()).task(doing, sum(durations)) as advance:
        for batch in batches(range(len(manifest)), costs, _BATCH_S):
            predictions = model.predict([read(manifest[index]) for index in batch], language=language)
            found.update(zip(batch, predictions, strict=True))
            advance(sum(durations[index] for index in batch))
    return [found[index] for index in range(len(manifest))]


def worst_table(results: Sequence[Result], count: int) -> list[tuple[str, str, str]]:
    """Rows of (errors, reference, hypothesis) of the worst utterances."""
    return [(str(result.errors), result.reference, result.hypothesis) for result in results[:count] if result.errors]
