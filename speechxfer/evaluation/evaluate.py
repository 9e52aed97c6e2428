"""A model's predictions for a manifest, and how wrong they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.evaluation.metrics import damage
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.predictor import Predictor
from speechxfer.progress import Progress

#: Seconds of audio decoded together.
_BATCH_S = 30.0

Compute: TypeAlias = Callable[[Manifest, Iterable[Sequence[int]]], Iterator[tuple[Sequence[int], Sequence[Prediction]]]]
"""Predicts batches of a manifest, given by the numbers of their utterances; in any order."""


def evaluate(
    model: Predictor,
    manifest: Manifest,
    normalizer: TextNormalizer | None = None,
    *,
    options: DecodingOptions | None = None,
    progress: Progress | None = None,
    compute: Compute | None = None,
) -> Evaluation:
    """Transcribe or classify a manifest and compare with its texts or labels.

    Args:
        normalizer: how texts are written before they are compared; without one, as `basic` does.
        options: how the model decodes.
        compute: predicts batches, in place of the model here.

    Raises:
        DataError: an utterance without text or label, a label the model does not know, no word in any text, or
            unreadable audio.
        ConfigError: an option of decoding that the head does not have.
    """
    normalizer = normalizer or TextNormalizer()
    model.traits.check_measurable(manifest, normalizer)
    model.checked(options)
    if progress and model.traits.task == "transcription" and (warning := damage(manifest.texts, normalizer)):
        progress.log(warning)
    predictions = predict_all(model, manifest, options=options, progress=progress, compute=compute)
    return compare(manifest, predictions, normalizer)


def idle_share(predictions: Sequence[Prediction]) -> float:
    """The fraction of transcripts without a word, or of classifications that name the same class as most do."""
    predicted = Counter(item.text if isinstance(item, Hypothesis) else item.label for item in predictions)
    idle = predicted[""] if isinstance(predictions[0], Hypothesis) else max(predicted.values())
    return idle / len(predictions)


def predict_all(
    model: Predictor, manifest: Manifest, *, options: DecodingOptions | None = None, progress: Progress | None = None,
    compute: Compute | None = None,
) -> list[Prediction]:  # fmt: skip
    """One prediction for each utterance, computed in batches of like length.

    Args:
        compute: predicts batches, in place of the model here.

    Raises:
        DataError: unreadable audio, or longer than the model takes at once.
    """
    durations, wanted = batched(model, manifest)
    found: dict[int, Prediction] = {}
    doing = "classifying" if model.traits.task == "classification" else "transcribing"
    with (progress or Progress()).task(doing, sum(durations)) as advance:
        computed = compute(manifest, wanted) if compute else _computed(model, manifest, wanted, options, progress)
        for batch, predictions in computed:
            found.update(zip(batch, predictions, strict=True))
            advance(sum(durations[index] for index in batch))
    return [found[index] for index in range(len(manifest))]


def batched(model: Predictor, manifest: Manifest) -> tuple[list[float], list[list[int]]]:
    """The seconds of each utterance, and the numbers of those that are computed together.

    Raises:
        DataError: one cannot be read, or is longer than the model takes at once.
    """
    durations = durations_s(manifest, model.max_duration_s)
    costs = [model.computed_s(duration) for duration in durations]
    return durations, batches(range(len(manifest)), costs, _BATCH_S, model.traits.most_padding)


def _computed(
    model: Predictor, manifest: Manifest, batches: Iterable[Sequence[int]], options: DecodingOptions | None,
    progress: Progress | None,
) -> Iterator[tuple[Sequence[int], Sequence[Prediction]]]:  # fmt: skip
    for batch in batches:
        yield batch, model.predict([read(manifest[index], progress) for index in batch], options)
