"""What a model predicts for recordings without text, and how certain it is of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import jiwer
import torch

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress

#: Predictions with dropout that are compared with the one without.
_PASSES = 3
_DROPOUT = 0.1


@dataclass(frozen=True)
class Scored:
    """A recording with what a model predicts for it."""

    utterance: Utterance
    #: The text, or the class.
    prediction: str
    #: In [0, 1]: the mean of the words' confidences, or the probability of the class; 0 where there is no word.
    confidence: float
    #: In [0, 1]: how much of the prediction stays the same under dropout, as a fraction of the characters.
    agreement: float


def scored(model: SpeechModel, manifest: Manifest, *, seed: int = 0, progress: Progress | None = None) -> list[Scored]:
    """A model's prediction for each recording, with two measures of how certain it is.

    The agreement of predictions under dropout is the measure of DUST (Khurana et al., 2021). Greedy search makes those
    predictions, so that a language model does not make them alike.

    Args:
        model: whose dropout is set for a while, so that nothing else may use it.
        manifest: readable, and no longer than the model takes at once.
        seed: of the dropout.
        progress: receives what goes on.

    Raises:
        DataError: unreadable audio, or longer than the model takes at once.
    """
    found = predict_all(model, manifest, progress=progress)
    greedy = DecodingOptions(beams=1).only(model.traits.decoding_options)
    plain = predict_all(model, manifest, options=greedy, progress=progress)
    disturbed = []
    for number in range(_PASSES):
        with _dropout(model, seed + number):
            disturbed.append(predict_all(model, manifest, options=greedy, progress=progress))
    return [
        Scored(utterance, written(one), confidence_of(one), _agreement(first, others))
        for utterance, one, first, *others in zip(manifest, found, plain, *disturbed, strict=True)
    ]


def written(prediction: Prediction) -> str:
    """The text of a transcript, or the class."""
    return prediction.text if isinstance(prediction, Hypothesis) else prediction.label


def confidence_of(prediction: Prediction) -> float:
    """In [0, 1]: of the words of a transcript, 0 where there are none, or of the class."""
    if isinstance(prediction, Hypothesis):
        return prediction.confidence or 0.0 if prediction.words else 0.0
    return prediction.top(1)[0][1]


def _agreement(first: Prediction, others: list[Prediction]) -> float:
    """One minus the mean distance to the others."""
    distances = [_distance(first, other) for other in others]
    return 1.0 - sum(distances) / len(distances)


def _distance(one: Prediction, other: Prediction) -> float:
    """Edits of characters as a fraction of the first text, at most 1; of classes, 0 or 1."""
    first, second = written(one), written(other)
    if first == second:
        return 0.0
    if not first or not isinstance(one, Hypothesis):
        return 1.0
    return min(1.0, float(jiwer.cer(first, second)))


@contextlib.contextmanager
def _dropout(model: SpeechModel, seed: int) -> Iterator[None]:
    """A model whose layers have dropout, always the same for a seed and the same batches."""
    on_gpu = model.device.type == "cuda"
    with torch.random.fork_rng([model.device.index or 0] if on_gpu else []):
        torch.manual_seed(seed)
        model.encoder.set_dropout(_DROPOUT)
        model.encoder.train()
        try:
            yield
        finally:
            model.encoder.set_dropout(0.0)
            model.eval()
