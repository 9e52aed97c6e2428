"""Layer-wise probing: the same light head on each layer of a frozen encoder.

Linear probes after Alain and Bengio (2017, Understanding intermediate layers using linear classifier probes); of speech
encoders layer by layer after Pasad, Chou and Livescu (2021, Layer-wise analysis of a self-supervised speech model).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.config import HEADS
from speechxfer.data.labels import ClassLabels
from speechxfer.data.loading import check_words, texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.decoding.hypothesis import Classification, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder
from speechxfer.errors import DataError
from speechxfer.evaluation.results import Scores, score
from speechxfer.heads.ctc.choice import choose
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.planner.states import SeamStates, check_seams, sample, states_at_seams
from speechxfer.progress import Progress
from speechxfer.training.usable import readable

#: Training of the linear CTC head, the same for every layer.
_EPOCHS, _LEAST_STEPS, _BATCH, _RATE = 15, 100, 16, 1e-2
#: Logistic regression on pooled frames: steps of L-BFGS, and L2 penalty.
_STEPS, _DECAY = 100, 1e-3
_LEAST_DEVIATION = 1e-5


@dataclass(frozen=True)
class Row:
    """The error of one layer's probe."""

    #: The part below the probe, or "log-mel".
    name: str
    #: Layers below the probe, as in `plan.freeze_below`; None for the spectrogram.
    seam: int | None
    #: On dev: the character error rate, or the fraction of utterances with a wrong class.
    error: float
    figures: dict[str, float]


@dataclass(frozen=True)
class Probe:
    """The probes of all layers of one encoder."""

    model: str
    #: "ctc" or "classification".
    head: str
    depth: int
    #: Seconds of the training sample and of the dev sample.
    train_s: float
    dev_s: float
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row:
        """The layer with the lowest error; of equal errors, the lowest layer."""
        return min((row for row in self.rows if row.seam is not None), key=lambda row: row.error)

    @property
    def raw(self) -> Row:
        """The probe of the spectrogram."""
        return next(row for row in self.rows if row.seam is None)

    @property
    def height(self) -> float:
        """Relative height of the best layer: 0 is below all layers, 1 is above the last."""
        return (self.best.seam or 0) / self.depth

    @property
    def gain(self) -> float:
        """Relative error reduction of the best layer against the spectrogram; negative if the spectrogram is better."""
        return 1.0 - self.best.error / self.raw.error if self.raw.error else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        best = {"seam": self.best.seam, "height": self.height, "gain": self.gain}
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "best": best}

    def table(self) -> list[tuple[str, ...]]:
        """A row for each layer from the bottom up: name, layers below, figures."""
        return [
            (row.name, "" if row.seam is None else str(row.seam), *(f"{value:.3f}" for value in row.figures.values()))
            for row in self.rows
        ]


def probe(
    encoder: Encoder,
    name: str,
    train: Manifest,
    dev: Manifest,
    *,
    head: str = "ctc",
    seams: Sequence[int] | None = None,
    seconds: float = 600.0,
    multi_label: bool = False,
    normalizer: TextNormalizer | None = None,
    progress: Progress | None = None,
) -> Probe:
    """Train the same light head on every layer, and evaluate each on dev.

    Args:
        head: the head of the run, by its name; a probe of classes or of characters is trained, as its task is.
        seams: layers below the probes; all by default, and 0 is below all layers.
        seconds: of training audio, sampled from all classes; half as much of dev.

    Raises:
        ConfigError: a layer that does not exist.
        DataError: too few utterances, a class that is not in train, unreadable audio.
    """
    progress, normalizer = progress or Progress(), normalizer or TextNormalizer()
    chosen = check_seams(encoder, seams)
    train = readable(train, progress)
    labels = _labels(train, dev, multi_label=multi_label) if HEADS.find(head).is_classifier else None
    parts = [readable(_enough(train, seconds), progress, decoded=True), _enough(dev, seconds / 2)]
    if labels is None:
        for part in parts:
            check_words(part, normalizer)
    known, new = (states_at_seams(encoder, part, chosen, progress) for part in parts)
    rows = []
    with progress.task("probes", len(known)) as advance:
        for train_states, dev_states in zip(known, new, strict=True):
            states = Standardized.of(train_states, dev_states)
            predictions = (
                predict_classes(states, parts[0], labels)
                if labels
                else predict_texts(states, parts[0], normalizer, train_states.frame_rate)
            )
            rows.append(_row(train_states, score(parts[1], predictions, normalizer)))
            advance(1)
    return Probe(name, head, encoder.depth, parts[0].duration_s, parts[1].duration_s, tuple(rows))


def _row(states: SeamStates, scores: Scores) -> Row:
    shown: tuple[str, ...] = ("cer", "wer", "error", "macro_f1")
    figures = {name: scores.summary[name] for name in shown if name in scores.summary}
    return Row(states.name, states.seam, next(iter(figures.values())), figures)


def _labels(train: Manifest, dev: Manifest, *, multi_label: bool) -> ClassLabels:
    labels = ClassLabels.from_manifest(train, multi_label=multi_label)
    labels.check(dev)
    return labels


def _enough(manifest: Manifest, seconds: float) -> Manifest:
    drawn = sample(manifest, seconds)
    if len(drawn) < 2:
        held = "holds one utterance" if len(manifest) < 2 else f"only one of {len(manifest)} utterances fits into {seconds:g} s"  # fmt: skip  # noqa: E501
        remedy = "add some" if len(manifest) < 2 else "take more, for instance --sample 600"
        raise DataError(f"{manifest.path}: {held}; a probe learns from several and is measured on several: {remedy}")
    return drawn


@dataclass(frozen=True)
class Standardized:
    """The frames [frames, width] of utterances to learn from and of others, each channel with mean 0 and variance 1."""

    train: list[Tensor]
    dev: list[Tensor]

    @classmethod
    def of(cls, train: SeamStates, dev: SeamStates) -> Standardized:
        """Standardize by mean and variance of the training frames."""
        together = torch.cat(train.states).float()
        mean, deviation = together.mean(0), together.std(0).clamp(min=_LEAST_DEVIATION)
        return cls(*([(one.float() - mean) / deviation for one in part.states] for part in (train, dev)))


def predict_texts(
    states: Standardized, train: Manifest, normalizer: TextNormalizer, frame_rate: float, *, seed: int = 0
) -> Sequence[Prediction]:
    """Train a linear CTC head on the training sample and transcribe dev.

    Raises:
        DataError: an utterance without text, or no utterance with enough frames for its text.
    """
    written = list(map(normalizer, texts(train)))
    spoken = [(text, len(one)) for text, one in zip(written, states.train, strict=True)]
    vocabulary = choose(spoken, frame_rate, CTCConfig()).pieces or Characters.from_texts(written)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = CTCHead(states.train[0].shape[1], frame_rate, vocabulary, normalizer)
        targets = [head.targets(utterance) for utterance in train]
        usable = [row for row, one in enumerate(states.train) if head.learnable(targets[row], len(one))]
        if not usable:
            raise DataError(f"{train.path}: none of the {len(train)} utterances of the sample has enough frames for its text")  # fmt: skip  # noqa: E501
        optimizer = torch.optim.Adam(head.parameters(), lr=_RATE)
        steps = max(_EPOCHS * math.ceil(len(usable) / _BATCH), _LEAST_STEPS)
        for step in range(steps):
            rows = [usable[number] for number in torch.randint(len(usable), (_BATCH,)).tolist()]
            loss = head.loss(*_padded([states.train[row] for row in rows]), [targets[row] for row in rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss / max(1, sum(len(targets[row]) for row in rows)))
            optimizer.param_groups[0]["lr"] = _RATE * (1.0 - step / steps)
            optimizer.step()
    with torch.inference_mode():
        return [head.decode(*_padded([one]), DecodingOptions())[0] for one in states.dev]


def predict_classes(states: Standardized, train: Manifest, labels: ClassLabels) -> Sequence[Prediction]:
    """Fit a logistic regression on mean and standard deviation over time, and classify dev."""
    known, new = (torch.stack([_pooled(one) for one in part]) for part in (states.train, states.dev))
    mean, deviation = known.mean(0), known.std(0).clamp(min=_LEAST_DEVIATION)
    known, new = (known - mean) / deviation, (new - mean) / deviation
    targets = torch.zeros(len(train), len(labels))
    for row, utterance in zip(targets, train, strict=True):
        row[labels.numbers(utterance)] = 1.0
    weight = torch.zeros(known.shape[1], len(labels), requires_grad=True)
    bias = torch.zeros(len(labels), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")
    criterion = F.binary_cross_entropy_with_logits if labels.multi_label else F.cross_entropy

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = criterion(known @ weight + bias, targets) + _DECAY * weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        logits = new @ weight + bias
    probabilities = logits.sigmoid() if labels.multi_label else logits.softmax(-1)
    return [Classification(labels.names, tuple(row), labels.multi_label) for row in probabilities.tolist()]


def _pooled(frames: Tensor) -> Tensor:
    return torch.cat([frames.mean(0), frames.std(0, correction=0)])


def _padded(frames: list[Tensor]) -> tuple[Tensor, Tensor]:
    return nn.utils.rnn.pad_sequence(frames, batch_first=True), torch.tensor([len(one) for one in frames])
