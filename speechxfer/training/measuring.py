"""What a model in training gets right, by real decoding from the hidden states at the seam."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from speechxfer.data import batching
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.evaluation.evaluate import idle_share
from speechxfer.evaluation.results import Scores, score
from speechxfer.model import SpeechModel
from speechxfer.training.distributed import World
from speechxfer.training.feeding import Examples

#: Seconds of audio decoded together.
_DECODE_S = 30.0


@dataclass(frozen=True)
class Measured:
    """How a model fares on a manifest."""

    scores: Scores
    #: Mean loss a label without dropout or masks; None where the examples have no targets.
    loss: float | None
    #: The share of utterances that are as if unheard: without a word, or all of the same class.
    idle: float


@torch.inference_mode()
def measure(
    model: SpeechModel,
    examples: Examples,
    normalizer: TextNormalizer,
    *,
    world: World,
    precision: torch.dtype,
    language: str | None = None,
) -> Measured:
    """Decode all examples, each process its share, and compare with the manifest; every process has the answer.

    Raises:
        DataError: an utterance without text or label, or with a label the head does not know.
    """
    model.eval()
    inputs, encoder, manifest = examples.inputs, model.encoder, examples.manifest
    lengths = [inputs.copies.computed_s((index, 1.0)) for index in range(len(manifest))]
    mine = batching.share(range(len(manifest)), lengths, world.rank, world.size)
    found: dict[int, Prediction] = {}
    losses = 0.0
    for indices in batching.batches(mine, lengths, _DECODE_S):
        loaded = inputs.load(indices, 0).to(model.device)
        with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
            hidden_states = inputs.at_seam(loaded)
            hidden_states = encoder.run(hidden_states, loaded.num_frames, inputs.cut, encoder.depth)
            frames = encoder.output_frames(loaded.num_frames)
            predictions = model.head.decode(hidden_states, frames, language=language)
            if examples.targets:
                targets = [examples.targets[index] for index in indices]
                losses += float(model.head.loss(hidden_states, frames, targets))
        found.update(zip(indices, predictions, strict=True))
    found = world.gather(found)
    everything = [found[index] for index in range(len(manifest))]
    losses = sum(world.gather({world.rank: losses}).values())
    labels = sum(map(model.head.num_labels, examples.targets))
    loss = losses / max(labels, 1) if examples.targets else None
    return Measured(score(manifest, everything, normalizer), loss, idle_share(everything))
