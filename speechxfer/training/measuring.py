"""Scores of a model in training, by real decoding from the hidden states at the seam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speechxfer.data import batching
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.evaluation.evaluate import idle_share
from speechxfer.evaluation.results import Scores, score
from speechxfer.heads.base import Head
from speechxfer.inference.silence import is_silent
from speechxfer.model import SpeechModel
from speechxfer.training.distributed import World
from speechxfer.training.feeding import Examples
from speechxfer.training.inputs import encoded

#: Seconds of audio decoded together.
_DECODE_S = 30.0


@dataclass(frozen=True)
class Measured:
    """Scores of a model on a manifest."""

    scores: Scores
    #: Mean loss per label without dropout or masks, of utterances with enough frames for their labels; None where
    #: there are none.
    loss: float | None
    #: Fraction of utterances with an empty transcript, or of the one most predicted class.
    idle: float


@torch.inference_mode()
def measure(
    model: SpeechModel,
    examples: Examples,
    normalizer: TextNormalizer,
    *,
    world: World,
    precision: torch.dtype,
    options: DecodingOptions | None = None,
) -> Measured:
    """Decode all examples, each process its share, and compare with the manifest; every process gets the result.

    Raises:
        DataError: an utterance without text or label, or with a label the head does not know.
    """
    model.eval()
    inputs, manifest = examples.inputs, examples.manifest
    lengths = [inputs.copies.computed_s((index, 1.0)) for index in range(len(manifest))]
    mine = batching.share(range(len(manifest)), lengths, world.rank, world.size)
    found: dict[int, Prediction] = {}
    losses, labels = 0.0, 0
    for indices in batching.batches(mine, lengths, _DECODE_S):
        loaded = inputs.load(indices, 0).to(model.device)
        with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
            hidden_states, frames = encoded(model.encoder, inputs, loaded)
            decoded = model.head.decode(hidden_states, frames, options or DecodingOptions())
            if examples.targets:
                targets = [examples.targets[index] for index in indices]
                loss, count = _loss(model.head, hidden_states, frames, targets)
                losses, labels = losses + loss, labels + count
        found.update(zip(indices, _of_sound(decoded, manifest, indices), strict=True))
    found = world.gather(found)
    everything = [found[index] for index in range(len(manifest))]
    sums = world.gather({world.rank: (losses, labels)}).values()
    losses, labels = sum(loss for loss, _ in sums), sum(count for _, count in sums)
    return Measured(
        score(manifest, everything, normalizer), losses / labels if labels else None, idle_share(everything)
    )


def _loss(head: Head, hidden_states: Tensor, frames: Tensor, targets: Sequence[Sequence[int]]) -> tuple[float, int]:
    """The summed loss and the number of labels of those utterances that have enough frames for theirs."""
    rows = [row for row, count in enumerate(frames.tolist()) if head.learnable(targets[row], count)]
    if not rows:
        return 0.0, 0
    if len(rows) < len(targets):
        targets = [targets[row] for row in rows]
        hidden_states, frames = hidden_states[rows], frames[rows]
    return float(head.loss(hidden_states, frames, targets)), sum(map(head.num_labels, targets))


def _of_sound(predictions: Sequence[Prediction], manifest: Manifest, indices: Sequence[int]) -> list[Prediction]:
    """The predictions, those of silence empty, as `SpeechModel.predict` has them.

    Only utterances without a word are read for that: others are hardly silent, and their audio is not needed here.
    """
    return [
        Hypothesis("") if manifest[index].text == "" and _wrote(one) and is_silent(read(manifest[index])) else one
        for index, one in zip(indices, predictions, strict=True)
    ]


def _wrote(prediction: Prediction) -> bool:
    return isinstance(prediction, Hypothesis) and bool(prediction.text)
