"""Which recordings to transcribe next: those that stand for many others of which the model is not certain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.errors import DataError
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.unlabeled.scoring import confidence_of, written

#: Seconds of audio computed together.
_BATCH_S = 30.0
#: Recordings that are to be stood for, at most; of more, a part at even distances.
_MOST_COVERED = 2000
#: What a recording of which the model is certain counts at least.
_LEAST_DOUBT = 0.05


def suggested(model: SpeechModel, manifest: Manifest, count: int, progress: Progress) -> Manifest:
    """The recordings to transcribe next, the first being worth most, with what the model predicts for them.

    Args:
        model: whose predictions are to get better.
        manifest: readable; what has a text, or a label for a classifier, is transcribed already.
        count: how many are wanted.
        progress: receives what goes on.

    Raises:
        DataError: all are transcribed.
    """
    classifies = model.traits.task == "classification"
    known = [place for place, one in enumerate(manifest) if (one.label if classifies else one.text) is not None]
    left = len(manifest) - len(known)
    if not left:
        raise DataError(f"{manifest.path}: all {len(manifest)} recordings are transcribed already; wanted some without {'label' if classifies else 'text'}")  # fmt: skip  # noqa: E501
    if left < count:
        progress.log(f"warning: {count} recordings are wanted, but {left} can be chosen: all of them are suggested")
    predictions = predict_all(model, manifest, progress=progress)
    confidences = list(map(confidence_of, predictions))
    places = chosen(embeddings(model, manifest, progress), confidences, count, known)
    return manifest.holding(_predicted(manifest[place], predictions[place]) for place in places)


def _predicted(utterance: Utterance, prediction: Prediction) -> Utterance:
    """A recording with what is to be corrected."""
    extra = {**utterance.extra, "confidence": round(confidence_of(prediction), 4)}
    said = written(prediction)
    if isinstance(prediction, Hypothesis):
        return replace(utterance, text=said, extra=extra)
    return replace(utterance, label=said, extra=extra)


@torch.inference_mode()
def embeddings(model: SpeechModel, manifest: Manifest, progress: Progress | None = None) -> NDArray[np.float32]:
    """The mean hidden state that leaves the encoder, of each recording [recordings, width].

    Raises:
        DataError: unreadable audio, or longer than the model takes at once.
    """
    encoder = model.encoder
    durations = durations_s(manifest, encoder.max_duration_s)
    found = np.zeros((len(manifest), encoder.width_at(encoder.depth)), dtype=np.float32)
    with (progress or Progress()).task("comparing", sum(durations)) as advance:
        for batch in batches(range(len(manifest)), list(map(model.computed_s, durations)), _BATCH_S):
            inputs, num_samples = encoder.collate([read(manifest[index], progress) for index in batch])
            states, num_frames = encoder(inputs.to(model.device), num_samples.to(model.device))
            for index, row, frames in zip(batch, states.float().cpu(), num_frames.tolist(), strict=True):
                found[index] = row[: max(frames, 1)].mean(0).numpy()
            advance(sum(durations[index] for index in batch))
    return found


def chosen(
    vectors: NDArray[np.float32], confidences: Sequence[float], count: int, known: Collection[int] = ()
) -> list[int]:
    """The places of recordings that are worth most, the first one most.

    Each recording should be like one that is transcribed, the more so the less certain the model is of it (facility
    location, as Wei et al., 2014, select speech to transcribe). They are chosen one by one, each for what it adds, so
    neither near doubles nor odd recordings that stand for themselves alone come first.

    Args:
        vectors: one a recording [recordings, width].
        confidences: the model's, in [0, 1].
        count: how many are wanted; all that are not known, where there are fewer.
        known: places of those that are transcribed already.
    """
    similar = _similarities(vectors)
    doubt = np.maximum(1.0 - np.asarray(confidences, dtype=np.float32), _LEAST_DOUBT)
    weights = doubt[np.linspace(0, len(vectors) - 1, similar.shape[1]).round().astype(int)]
    covered = np.zeros(similar.shape[1], dtype=np.float32)
    for place in known:
        covered = np.maximum(covered, similar[place])
    left, found = set(range(len(vectors))) - set(known), list[int]()
    while left and len(found) < count:
        places = sorted(left)
        gains = np.maximum(similar[places] - covered, 0.0) @ weights
        best = places[int(gains.argmax())]
        covered = np.maximum(covered, similar[best])
        found.append(best)
        left.remove(best)
    return found


def _similarities(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines between all recordings and those that are to be stood for, at least 0, around the mean recording."""
    centered = vectors - vectors.mean(0)
    unit = centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-6)
    count = min(len(vectors), _MOST_COVERED)
    some = unit[np.linspace(0, len(vectors) - 1, count).round().astype(int)]
    found: NDArray[np.float32] = np.maximum(unit @ some.T, 0.0).astype(np.float32)
    return found
