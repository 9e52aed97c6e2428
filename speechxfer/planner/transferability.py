"""How much each layer of a frozen encoder says of a domain, without training: the evidence of a linear model on it.

LogME (You et al., 2021, LogME: practical assessment of pre-trained models for transfer learning; of speech encoders
arXiv:2306.01015): the highest logarithm of the evidence of a Bayesian linear regression from pooled states to labels.
For transcripts, labels are how often each character occurs, relative to the others.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.encoders.base import Encoder
from speechxfer.planner.states import states_at_seams
from speechxfer.planner.subsets import beginning
from speechxfer.progress import Progress
from speechxfer.training.usable import readable

#: Characters that are counted, the most frequent ones, and rounds of the evidence's fixed point.
_CHARACTERS, _ROUNDS = 30, 20
#: Seconds of audio whose computation is timed first, most that are scored, and utterances that a score needs.
_TIMED_S, _MOST_S, _FEWEST = 4.0, 240.0, 12
#: A domain is near where the best layer's evidence exceeds the spectrogram's by this.
NEAR_EVIDENCE = 0.35


@dataclass(frozen=True)
class Score:
    """The evidence by layer, per label and utterance."""

    model: str
    depth: int
    #: Utterances and seconds that were scored.
    utterances: int
    seconds: float
    #: Of the spectrogram, and by the number of layers below.
    raw: float
    layers: tuple[float, ...]

    @property
    def best(self) -> int:
        """Layers below the best one."""
        return max(range(len(self.layers)), key=self.layers.__getitem__)

    @property
    def near(self) -> bool:
        """Whether the model says much more of the domain than the spectrogram does."""
        return self.layers[self.best] - self.raw >= NEAR_EVIDENCE


def score(
    encoder: Encoder,
    name: str,
    train: Manifest,
    seconds: float,
    normalizer: TextNormalizer,
    progress: Progress,
    *,
    classes: bool,
) -> Score | None:
    """Score every layer, on as much of the data as fits into so many seconds; None where that is too little.

    Args:
        train: with known durations, in an order in which every beginning stands for the whole.

    Raises:
        DataError: unreadable audio.
    """
    seams = list(range(encoder.depth + 1))
    begun = time.monotonic()
    first = readable(train[: beginning(train, _TIMED_S)], progress, decoded=True)
    states_at_seams(encoder, first, seams, Progress())
    rate = first.duration_s / max(time.monotonic() - begun, 1e-6)
    count = beginning(train, min(rate * seconds, _MOST_S))
    if count < _FEWEST:
        return None
    some = readable(train[:count], progress, decoded=True)
    pooled = [
        np.stack([one.float().mean(0).numpy() for one in states.states])
        for states in states_at_seams(encoder, some, seams, progress)
    ]
    labels = _labels(some, normalizer, classes=classes)
    raw, *layers = (evidence(features, labels) for features in pooled)
    return Score(name, encoder.depth, len(some), some.duration_s, raw, tuple(layers))


def _labels(train: Manifest, normalizer: TextNormalizer, *, classes: bool) -> np.ndarray:
    """[utterances, labels]: classes as ones, or relative frequencies of characters."""
    counts = [Counter([one.label or ""]) if classes else Counter(normalizer(one.text or "")) for one in train]
    names = [name for name, _ in sum(counts, Counter()).most_common(_CHARACTERS)]
    table = np.array([[count[name] for name in names] for count in counts], dtype=np.float64)
    return np.asarray(table / np.maximum(table.sum(1, keepdims=True), 1.0))


def evidence(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean over labels of the log-evidence per utterance, where features and labels have mean 0 and variance 1.

    Args:
        features: [utterances, width].
        labels: [utterances, labels].
    """
    features, labels = (_standardized(one) for one in (features, labels))
    count, width = features.shape
    left, values, _ = np.linalg.svd(features, full_matrices=False)
    squares = values**2
    found = []
    for target in labels.T:
        projected, total = (left.T @ target) ** 2, float(target @ target)
        outside = max(total - float(projected.sum()), 1e-9)
        alpha = beta = 1.0
        for _ in range(_ROUNDS):
            shrunk = squares / (squares + alpha / beta)
            known = float(shrunk.sum())
            weights = float((projected * squares / (squares + alpha / beta) ** 2).sum())
            residual = float((projected * (1.0 - shrunk) ** 2).sum()) + outside
            alpha, beta = max(known, 1e-6) / max(weights, 1e-9), max(count - known, 1e-6) / residual
        found.append(
            0.5 * (
                width * np.log(alpha) + count * np.log(beta / (2.0 * np.pi)) - beta * residual - alpha * weights
                - float(np.log(alpha + beta * squares).sum()) - (width - len(squares)) * np.log(alpha)
            ) / count
        )  # fmt: skip
    return float(np.mean(found))


def _standardized(values: np.ndarray) -> np.ndarray:
    centered = values - values.mean(0)
    return np.asarray(centered / np.maximum(centered.std(0), 1e-6))
