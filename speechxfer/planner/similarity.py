"""The distance of a domain from a model's pre-training: a few measures, and a verdict with stated thresholds.

Any encoder can be probed. A model that transcribes also has an error and a confidence, and with a sample of its
training data its hidden states can be compared.
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
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Vocabulary
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.evaluation.results import compare
from speechxfer.model import SpeechModel
from speechxfer.planner.probe import Probe
from speechxfer.planner.states import sample, states_at_seams
from speechxfer.progress import Progress

#: Most seconds and utterances of dev that the unadapted model transcribes.
_TRANSCRIBED_S, _MOST_TRANSCRIBED = 60.0, 16
#: Most frames for a covariance.
_MOST_FRAMES = 20_000
#: A domain is far from these values on.
FAR_ERROR, FAR_DOUBT, FAR_ENTROPY, FAR_DISTANCE = 0.5, 0.45, 0.2, 0.45
#: Least relative error reduction of the best layer against the spectrogram for a near domain.
NEAR_GAIN = 0.6


@dataclass(frozen=True)
class Measure:
    """One measure of the distance."""

    name: str
    value: float
    near: bool
    #: What was measured, and the threshold.
    meaning: str


@dataclass(frozen=True)
class Similarity:
    """All measures that the model allows, and their majority."""

    measures: tuple[Measure, ...]

    @property
    def near(self) -> bool:
        """The majority of the measures; a tie is far, so that more of the model is trained."""
        return sum(measure.near for measure in self.measures) * 2 > len(self.measures)

    @property
    def verdict(self) -> str:
        """The verdict, and how many measures agree."""
        agreeing = sum(measure.near == self.near for measure in self.measures)
        return f"{'near' if self.near else 'far'} ({agreeing} of {len(self.measures)} measures agree)"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"near": self.near, "measures": [asdict(measure) for measure in self.measures]}

    def table(self) -> list[tuple[str, str, str, str]]:
        """A row for each measure: name, value, near or far, meaning."""
        return [(one.name, f"{one.value:.3f}", "near" if one.near else "far", one.meaning) for one in self.measures]


def similarity(
    probe: Probe,
    dev: Manifest,
    encoder: Encoder,
    *,
    unadapted: SpeechModel | None = None,
    seconds: float = _TRANSCRIBED_S,
    reference: Manifest | None = None,
    normalizer: TextNormalizer | None = None,
    progress: Progress | None = None,
) -> Similarity:
    """Compute all measures that are possible for a model and a domain.

    Args:
        probe: of the encoder on the domain.
        unadapted: the whole pre-trained model, if it transcribes.
        seconds: most of dev that it transcribes.
        reference: a sample of what the encoder was trained on.

    Raises:
        DataError: unreadable audio.
    """
    progress = progress or Progress()
    measures = [_gain(probe)]
    if unadapted is not None and all(utterance.text is not None for utterance in dev):
        some = sample(dev, min(seconds, _TRANSCRIBED_S))[:_MOST_TRANSCRIBED]
        measures += transcription_measures(unadapted, some, normalizer or TextNormalizer(), progress)
    if reference is not None:
        measures.append(_distance(encoder, dev, reference, progress))
    return Similarity(tuple(measures))


def _gain(probe: Probe) -> Measure:
    """The error reduction by a light head on frozen features, a measure of transferability:

    Kornblith, Shlens and Le (2019, Do better ImageNet models
    transfer better?).
    """
    return Measure(
        "probe gain", probe.gain, probe.gain >= NEAR_GAIN,
        f"relative error reduction of a linear head on the best layer against the spectrogram; far below {NEAR_GAIN:g}",
    )  # fmt: skip


def transcription_measures(
    model: SpeechModel, dev: Manifest, normalizer: TextNormalizer, progress: Progress
) -> list[Measure]:
    """The word error rate and the uncertainty of the unadapted model.

    Uncertainty as a sign of another domain: Hendrycks and Gimpel (2017, A baseline for detecting misclassified and
    out-of-distribution examples); the entropy of frames that are not blank as in Lin, Li and Lee (2022, Listen, adapt,
    better WER).
    """
    # No retries, which take long on a far domain.
    options = DecodingOptions(temperature=0.0).only(model.head.decoding_options)
    predictions = predict_all(model, dev, options=options, progress=progress)
    error = compare(dev, predictions, normalizer).rates.wer
    measures = [
        Measure("zero-shot WER", error, error < FAR_ERROR, f"of the unadapted model on dev; far from {FAR_ERROR:g}")
    ]
    if model.head.is_frame_synchronous:
        entropy = _mean_entropy(model, dev, progress)
        meaning = f"of the model's CTC head on frames that are not blank, at most 1; far from {FAR_ENTROPY:g}"
        return [*measures, Measure("entropy", entropy, entropy < FAR_ENTROPY, meaning)]
    confidences = [item.confidence or 0.0 for item in predictions if isinstance(item, Hypothesis)]
    doubt = 1.0 - sum(confidences) / len(confidences)
    meaning = f"1 minus the mean confidence of the model's tokens; far from {FAR_DOUBT:g}"
    return [*measures, Measure("doubt", doubt, doubt < FAR_DOUBT, meaning)]


@torch.inference_mode()
def _mean_entropy(model: SpeechModel, dev: Manifest, progress: Progress) -> float:
    """Mean entropy of frames whose most likely symbol is not the blank, relative to the maximum."""
    head, encoder = model.head, model.encoder
    (_, top) = states_at_seams(encoder, dev, [encoder.depth], progress)
    entropies = [frame_entropy(head.frame_log_probabilities(states.float().to(model.device))) for states in top.states]
    spoken = torch.cat(entropies)
    return float(spoken.mean()) if len(spoken) else 1.0


def frame_entropy(log_probabilities: Tensor) -> Tensor:
    """Log-probabilities [frames, symbols] -> relative entropies (0 to 1) of the frames that are not blank."""
    spoken = log_probabilities[log_probabilities.argmax(-1) != Vocabulary.BLANK]
    return -(spoken.exp() * spoken).sum(-1) / math.log(log_probabilities.shape[-1])


def _distance(encoder: Encoder, dev: Manifest, reference: Manifest, progress: Progress) -> Measure:
    seam = [encoder.depth]
    (_, here), (_, there) = (states_at_seams(encoder, sample(one, 300.0), seam, progress) for one in (dev, reference))
    distance = frechet(_frames(here.states), _frames(there.states))
    meaning = (
        "Fréchet distance of the top layer's frames from the reference's, relative to the reference's variance; "
        f"far from {FAR_DISTANCE:g}"
    )
    return Measure("Fréchet distance", distance, distance < FAR_DISTANCE, meaning)


def _frames(states: Sequence[Tensor]) -> np.ndarray:
    together = torch.cat(list(states)).double().numpy()
    found: np.ndarray = together[:: -(-len(together) // _MOST_FRAMES)]
    return found


def frechet(frames: np.ndarray, reference: np.ndarray) -> float:
    """Squared distance of two Gaussians fitted to frames [count, width], over the variance of the reference.

    Dowson and Landau (1982); for sound Kilgour et al. (2019, Fréchet audio distance). The division by the trace of
    the reference's covariance makes it independent of the scale of a model's states.
    """
    means = frames.mean(0), reference.mean(0)
    covariances = np.cov(frames, rowvar=False), np.cov(reference, rowvar=False)
    mixed = np.trace(np.real(sqrtm(covariances[0] @ covariances[1])))
    spread = np.trace(covariances[1])
    squared = float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0]) + spread - 2.0 * mixed)
    return max(squared, 0.0) / float(spread)
