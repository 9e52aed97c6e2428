"""The predictions for every utterance of a manifest, their errors, and how certain the figures are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.errors import DataError
from speechxfer.evaluation.classes import ClassScores, class_scores, wrong_labels
from speechxfer.evaluation.intervals import Intervals, proportion_interval, ratio_intervals, units_of
from speechxfer.evaluation.metrics import ErrorRates, Pair, align, error_rates, rates_of
from speechxfer.evaluation.register import computed
from speechxfer.evaluation.reliability import Reliability, judged_words, reliability


class Scores(Protocol):
    """How good predictions are, whatever they are of: error rates of transcripts, or scores of classes."""

    @property
    def rank(self) -> tuple[float, ...]:
        """What decides between two models; lower is better."""

    @property
    def relative_error(self) -> float:
        """The error relative to that of a model that does not listen; at 1 nothing has been learned."""

    @property
    def summary(self) -> dict[str, float]:
        """The most telling figures by name."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""


@dataclass(frozen=True)
class Result:
    """An utterance with the model's prediction and the number of its errors: words, or classes."""

    utterance: Utterance
    reference: str
    prediction: Prediction
    errors: int
    #: Its place in the manifest, from 0.
    place: int = 0
    #: Both texts, normalized and aligned; None for classification.
    pair: Pair | None = None

    @property
    def hypothesis(self) -> str:
        """The text, or the class."""
        return self.prediction.text if isinstance(self.prediction, Hypothesis) else self.prediction.label


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

    @property
    def task(self) -> Literal["transcription", "classification"]:
        """Whether texts or classes were compared."""
        return "transcription" if isinstance(self.scores, ErrorRates) else "classification"

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Every registered metric of the task, by name."""
        return computed(self)

    @property
    def normalizer(self) -> str | None:
        """What was applied to texts before they were compared; None where classes were."""
        return self.scores.normalizer if isinstance(self.scores, ErrorRates) else None

    @cached_property
    def reliability(self) -> Reliability | None:
        """How often words of each confidence are right; None where no words have confidences."""
        words = judged_words(self.results, TextNormalizer.named(self.normalizer)) if self.normalizer else []
        return reliability(words) if words else None

    @property
    def in_order(self) -> list[Result]:
        """The results in the manifest's order."""
        return sorted(self.results, key=lambda result: result.place)

    def spread(self, count: int) -> Evaluation:
        """That of so many of the utterances, at even distances as `Manifest.spread` has them; of all, itself."""
        found = self.in_order
        if count == len(found):
            return self
        return assembled([found[number * len(found) // count] for number in range(count)], self.normalizer)

    @cached_property
    def intervals(self) -> Intervals:
        """Confidence intervals of `wer` and `cer`, or of `accuracy`."""
        return intervals_of(self.results)

    def to_dict(self, num_worst: int = 20) -> dict[str, Any]:
        """Scores, their intervals and the worst utterances, as plain values for JSON."""
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
        confidences = {"reliability": self.reliability.to_dict()} if self.reliability else {}
        intervals = {"intervals": self.intervals.to_dict()}
        return {**self.metrics, **self.scores.to_dict(), **intervals, **confidences, "worst": worst}

    def __str__(self) -> str:
        shown = self.intervals.show
        if isinstance(self.scores, ClassScores):
            figures = f"accuracy {shown('accuracy', self.scores.accuracy)}  macro-F1 {self.scores.macro_f1:.3f}"
            return f"{figures}  ({len(self.scores.classes)} classes, {self.scores.utterances} utterances)"
        rates = self.scores
        figures = f"WER {shown('wer', rates.wer)}  CER {shown('cer', rates.cer)}"
        kinds = f"{rates.substitutions} substituted, {rates.deletions} deleted, {rates.insertions} inserted"
        return f"{figures}  ({rates.words} words: {kinds}; {rates.utterances} utterances; {rates.normalizer})"


def compare(manifest: Manifest, predictions: Sequence[Prediction], normalizer: TextNormalizer) -> Evaluation:
    """Predictions against the manifest's texts or labels.

    Raises:
        DataError: an utterance without text or label, or not one prediction for each.
    """
    if len(manifest) != len(predictions):
        raise DataError(f"{manifest!r}: {len(predictions)} predictions; wanted one for each utterance")
    classified = [item for item in predictions if isinstance(item, Classification)]
    if classified:
        return assembled(list(map(_class_result, range(len(manifest)), manifest, classified)))
    hypotheses = [item for item in predictions if isinstance(item, Hypothesis)]
    pairs = align(texts(manifest), [item.text for item in hypotheses], normalizer)
    results = [
        Result(utterance, utterance.text or "", hypothesis, pair.words.errors, place, pair)
        for place, (utterance, hypothesis, pair) in enumerate(zip(manifest, hypotheses, pairs, strict=True))
    ]
    return assembled(results, str(normalizer))


def assembled(results: Sequence[Result], normalizer: str | None = None) -> Evaluation:
    """The evaluation that these results make.

    Args:
        results: in the manifest's order, all of transcripts or all of classes.
        normalizer: what was applied to transcripts before they were aligned.

    Raises:
        DataError: an utterance without a label, or with one that the model does not know.
    """
    worst_first = tuple(sorted(results, key=lambda result: -result.errors))
    pairs = [result.pair for result in results if result.pair is not None]
    if pairs:
        return Evaluation(rates_of(pairs, normalizer or ""), worst_first)
    classified = [item for result in results if isinstance(item := result.prediction, Classification)]
    return Evaluation(class_scores(Manifest(result.utterance for result in results), classified), worst_first)


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


def intervals_of(results: Sequence[Result]) -> Intervals:
    """Intervals of the figures that these results have together: `wer` and `cer`, or `accuracy`."""
    results = sorted(results, key=lambda result: result.place)  # or the same seed would draw others
    pairs = [result.pair for result in results if result.pair is not None]
    drawn = units_of([result.utterance for result in results], of_classes=not pairs)
    if not pairs:
        return proportion_interval("accuracy", [not result.errors for result in results], drawn)
    figures = {
        "wer": ([pair.words.errors for pair in pairs], [pair.words.reference for pair in pairs]),
        "cer": ([pair.characters.errors for pair in pairs], [pair.characters.reference for pair in pairs]),
    }
    return ratio_intervals(figures, drawn)


def worst_table(results: Sequence[Result], count: int) -> list[tuple[str, str, str]]:
    """Rows of (errors, reference, hypothesis) of the worst utterances."""
    return [(str(result.errors), result.reference, result.hypothesis) for result in results[:count] if result.errors]


def _class_result(place: int, utterance: Utterance, prediction: Classification) -> Result:
    reference = utterance.label or ""
    return Result(utterance, reference, prediction, wrong_labels(reference, prediction), place)
