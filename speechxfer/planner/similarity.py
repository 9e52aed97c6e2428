"""How far a domain lies from what a model knows, as a few numbers and one judgement with stated thresholds.

What a model has to say for itself depends on the model: one that transcribes can be heard and can doubt, any encoder
can be probed, and where there is a sample of what it was trained on, its hidden states can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.evaluation.results import compare
from speechxfer.model import SpeechModel
from speechxfer.planner.probe import Probe
from speechxfer.planner.states import every_cut, sample
from speechxfer.progress import Progress

#: Of dev, what the model as it is transcribes: so many seconds, and no more utterances.
_HEARD_S, _MOST_HEARD = 60.0, 16
#: Frames that a covariance is made of; more make no difference that matters.
_MOST_FRAMES = 20_000
#: Up to these a domain counts as near, from there on as far.
FAR_ERROR, FAR_DOUBT, FAR_ENTROPY, FAR_DISTANCE = 0.5, 0.45, 0.2, 0.45
#: The share of the spectrogram's error that the best layer has to spare to count as near.
NEAR_GAIN = 0.6


@dataclass(frozen=True)
class Measure:
    """One view of the distance."""

    name: str
    value: float
    near: bool
    #: What was measured, and from where on it counts as far.
    meaning: str


@dataclass(frozen=True)
class Similarity:
    """All measures that the model allows, and what they say together."""

    measures: tuple[Measure, ...]

    @property
    def near(self) -> bool:
        """What most measures say; where they are divided it is far, which asks for more of the model to be trained."""
        return sum(measure.near for measure in self.measures) * 2 > len(self.measures)

    @property
    def verdict(self) -> str:
        """The judgement and how many measures share it."""
        agreeing = sum(measure.near == self.near for measure in self.measures)
        return f"{'near' if self.near else 'far'} ({agreeing} of {len(self.measures)} measures say so)"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"near": self.near, "measures": [asdict(measure) for measure in self.measures]}

    def table(self) -> list[tuple[str, str, str, str]]:
        """A line for each measure: name, value, near or far, meaning."""
        return [(one.name, f"{one.value:.3f}", "near" if one.near else "far", one.meaning) for one in self.measures]


def similarity(
    probe: Probe,
    dev: Manifest,
    encoder: Encoder,
    *,
    untouched: SpeechModel | None = None,
    seconds: float = _HEARD_S,
    reference: Manifest | None = None,
    normalizer: TextNormalizer | None = None,
    progress: Progress | None = None,
) -> Similarity:
    """Everything that can be measured of a model and a domain.

    Args:
        probe: of the encoder on the domain.
        untouched: the model as it is, where it transcribes and dev has texts.
        seconds: of dev, what it transcribes at most.
        reference: a sample of what the encoder was trained on.

    Raises:
        DataError: unreadable audio.
    """
    progress = progress or Progress()
    measures = [_gain(probe)]
    if untouched is not None and all(utterance.text is not None for utterance in dev):
        some = sample(dev, min(seconds, _HEARD_S))[:_MOST_HEARD]
        measures += heard(untouched, some, normalizer or TextNormalizer(), progress)
    if reference is not None:
        measures.append(_distance(encoder, dev, reference, progress))
    return Similarity(tuple(measures))


def _gain(probe: Probe) -> Measure:
    """How much of the task the layers make easy, which is what similarity is for.

    Transferability read from a light head on frozen features: Kornblith, Shlens and Le (2019, Do better ImageNet models
    transfer better?).
    """
    return Measure(
        "probe gain", probe.gain, probe.gain >= NEAR_GAIN,
        f"share of the spectrogram's error that the best layer spares a linear head; far below {NEAR_GAIN:g}",
    )  # fmt: skip


def heard(model: SpeechModel, dev: Manifest, normalizer: TextNormalizer, progress: Progress) -> list[Measure]:
    """What the model writes as it is, and how sure it is of that.

    Doubt as a sign of a foreign domain: Hendrycks and Gimpel (2017, A baseline for detecting misclassified and
    out-of-distribution examples); the entropy of frames that are not blank as in Lin, Li and Lee (2022, Listen, adapt,
    better WER).
    """
    # One attempt: retries take long where a domain is far, and do not make it nearer.
    options = DecodingOptions(temperature=0.0).only(model.head.decoding_options)
    predictions = predict_all(model, dev, options=options, progress=progress)
    error = compare(dev, predictions, normalizer).rates.wer
    measures = [
        Measure("zero-shot WER", error, error < FAR_ERROR, f"of the model as it is, on dev; far from {FAR_ERROR:g}")
    ]
    if model.head.is_frame_synchronous:
        entropy = _mean_entropy(model, dev, progress)
        meaning = f"of the model's own CTC head where it is not blank, 1 is to know nothing; far from {FAR_ENTROPY:g}"
        return [*measures, Measure("entropy", entropy, entropy < FAR_ENTROPY, meaning)]
    sure = [item.confidence or 0.0 for item in predictions if isinstance(item, Hypothesis)]
    doubt = 1.0 - sum(sure) / len(sure)
    meaning = f"1 less the probability that the model gives its own tokens; far from {FAR_DOUBT:g}"
    return [*measures, Measure("doubt", doubt, doubt < FAR_DOUBT, meaning)]


@torch.inference_mode()
def _mean_entropy(model: SpeechModel, dev: Manifest, progress: Progress) -> float:
    """Of frames whose most likely symbol is not the blank, as a share of the highest there is."""
    head, encoder = model.head, model.encoder
    (_, top) = every_cut(encoder, dev, [encoder.depth], progress)
    entropies = [frame_entropy(head.frame_log_probabilities(states.float().to(model.device))) for states in top.states]
    spoken = torch.cat(entropies)
    return float(spoken.mean()) if len(spoken) else 1.0


def frame_entropy(log_probabilities: Tensor) -> Tensor:
    """Log-probabilities [frames, symbols] -> entropies of the frames that are not blank, 0 to 1."""
    spoken = log_probabilities[log_probabilities.argmax(-1) != CTCVocabulary.BLANK]
    return -(spoken.exp() * spoken).sum(-1) / math.log(log_probabilities.shape[-1])


def _distance(encoder: Encoder, dev: Manifest, reference: Manifest, progress: Progress) -> Measure:
    cut = [encoder.depth]
    (_, here), (_, there) = (every_cut(encoder, sample(one, 300.0), cut, progress) for one in (dev, reference))
    distance = frechet(_frames(here.states), _frames(there.states))
    meaning = (
        "Fréchet distance of the top layer's frames from the reference's, as a share of the reference's variance; "
        f"far from {FAR_DISTANCE:g}"
    )
    return Measure("Fréchet distance", distance, distance < FAR_DISTANCE, meaning)


def _frames(states: Sequence[Tensor]) -> np.ndarray:
    together = torch.cat(list(states)).double().numpy()
    found: np.ndarray = together[:: -(-len(together) // _MOST_FRAMES)]
    return found


def frechet(frames: np.ndarray, reference: np.ndarray) -> float:
    """Squared distance of two Gaussians fitted to frames [count, width], over the variance of the reference.

    Dowson and Landau (1982); for sound Kilgour et al. (2019, Fréchet audio distance). Divided by the trace of the
    reference's covariance it no longer depends on how a model scales its states.
    """
    means = frames.mean(0), reference.mean(0)
    covariances = np.cov(frames, rowvar=False), np.cov(reference, rowvar=False)
    mixed = np.trace(np.real(sqrtm(covariances[0] @ covariances[1])))
    spread = np.trace(covariances[1])
    squared = float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + spread - 2.0 * mixed)
    return max(squared, 0.0) / float(spread)
