"""What a model predicts for recordings without text, and how certain it is of it."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jiwer
import torch

from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.engine import Engine
from speechxfer.evaluation.evaluate import batched
from speechxfer.evaluation.remote_batches import Answer, Batch, answered, answers, raise_lost
from speechxfer.model import SpeechModel
from speechxfer.model_versions import versions_of
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


@dataclass(frozen=True)
class ScoringTask:
    """A model that scores batches of recordings.

    Attributes:
        model: its folder, at the same path for all workers.
        seed: of the dropout.
    """

    model: str
    seed: int

    def versions(self) -> dict[str, str]:
        """Those of this package and of the model.

        Raises:
            CheckpointError: there is no such model, or it cannot be read.
        """
        return versions_of(self.model)

    def open(self, _readers: int) -> Callable[[Sequence[Batch]], Answer]:
        """Load the model."""
        model, one_at_a_time = SpeechModel.load(self.model), threading.Lock()

        def score(utterances: Sequence[Utterance], progress: Progress) -> list[tuple[str, float, float]]:
            with one_at_a_time:  # a worker may have a thread for each of two batches, and dropout is the model's
                return _score(model, self.seed, utterances, progress)

        return functools.partial(answered, score)

    def lost(self, batch: Batch, reason: str) -> NoReturn:
        """End the work."""
        raise_lost(batch, reason)


def scored(
    model: SpeechModel, manifest: Manifest, *, seed: int = 0, progress: Progress | None = None,
    engine: tuple[Engine, str] | None = None,
) -> list[Scored]:  # fmt: skip
    """A model's prediction for each recording, with two measures of how certain it is.

    The agreement of predictions under dropout is the measure of DUST (Khurana et al., 2021). Greedy search makes those
    predictions, so that a language model does not make them alike.

    Args:
        model: whose dropout is set for a while, so that nothing else may use it.
        manifest: readable, and no longer than the model takes at once.
        seed: of the dropout, which is the same for the same batches, whoever computes them.
        progress: receives what goes on.
        engine: whose workers compute, and the folder from which they open the model; this process without it.

    Raises:
        DataError: unreadable audio, or longer than the model takes at once.
    """
    durations, wanted = batched(model, manifest)
    made: Iterator[tuple[Sequence[int], Sequence[Any]]]
    if engine is None:
        made = ((batch, _score(model, seed, [manifest[one] for one in batch], progress)) for batch in wanted)
    else:
        made = answers(engine[0], ScoringTask(engine[1], seed), manifest, wanted, progress)
    found: dict[int, Scored] = {}
    with (progress or Progress()).task("predicting", sum(durations)) as advance:
        for batch, scores in made:
            found |= {number: Scored(manifest[number], *score) for number, score in zip(batch, scores, strict=True)}
            advance(sum(durations[number] for number in batch))
    return [found[number] for number in range(len(manifest))]


def _score(
    model: SpeechModel, seed: int, utterances: Sequence[Utterance], progress: Progress | None
) -> list[tuple[str, float, float]]:
    """What is predicted for the recordings of a batch, its confidence and its agreement."""
    waveforms = [read(one, progress) for one in utterances]
    greedy = DecodingOptions(beams=1).only(model.traits.decoding_options)
    found, plain = model.predict(waveforms), model.predict(waveforms, greedy)
    disturbed = []
    for number in range(_PASSES):
        with _dropout(model, f"{seed}/{number}/{utterances[0].id}"):
            disturbed.append(model.predict(waveforms, greedy))
    return [
        (written(one), confidence_of(one), _agreement(first, others))
        for one, first, *others in zip(found, plain, *disturbed, strict=True)
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
def _dropout(model: SpeechModel, seed: str) -> Iterator[None]:
    """A model whose layers have dropout, always the same for a seed and the same batch."""
    on_gpu = model.device.type == "cuda"
    with torch.random.fork_rng([model.device.index or 0] if on_gpu else []):
        torch.manual_seed(random.Random(seed).getrandbits(63))
        model.encoder.set_dropout(_DROPOUT)
        model.encoder.train()
        try:
            yield
        finally:
            model.encoder.set_dropout(0.0)
            model.eval()
