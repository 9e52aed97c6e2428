"""Which class an utterance is of: frames pooled to one vector, and a linear layer over the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig
from speechxfer.data.labels import ClassLabels, named
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.encoders.base import Encoder, valid_positions
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import DataError
from speechxfer.heads.base import Head, Interchange
from speechxfer.heads.classification.reader import ClassificationReader, ClassificationTraits
from speechxfer.heads.classification.settings import ClassificationConfig
from speechxfer.heads.layer_sum import LayerSum
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.progress import Progress

_MOST_SHOWN = 10  # classes
_MOST_RARE = 5  # of those in a message
#: The least variance that a root is taken of: its slope at zero is infinite.
_LEAST_VARIANCE = 1e-6


class ClassificationHead(ClassificationTraits, Head):
    """A projection of every frame, pooling over the utterance's own frames, a linear layer over the classes.

    With the pooling "mean" it is the head of `transformers`' classes `...ForSequenceClassification`.

    Args:
        width: size of a hidden state.
        labels: the classes.
        projection: size of a projected frame.
        pooling: "mean"; "mean-deviation", which adds the standard deviation over time (Snyder et al., 2018,
            X-Vectors); or "attentive", a mean whose weights are learned (Okabe et al., 2018).
        multi_label: several classes may hold at once.
        label_smoothing: share of the target that is spread over all classes.
        class_weights: what an utterance of each class counts in the loss; of several classes, what it counts that one
            holds.
        pool_padding: count what the encoder computed beyond the utterance's end as well, as
            `WhisperForAudioClassification` does; for encoders of fixed length.
        states: how many hidden states stand side by side, to be weighed.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        width: int,
        labels: ClassLabels,
        *,
        projection: int = 256,
        pooling: str = "mean",
        multi_label: bool = False,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        pool_padding: bool = False,
        states: int = 1,
    ) -> None:
        super().__init__()
        self.labels = ClassLabels(labels.names, multi_label=multi_label)
        self.reader = ClassificationReader(self.labels)
        self.pooling = pooling
        self.label_smoothing = label_smoothing
        self.pool_padding = pool_padding
        self.layer_sum = LayerSum(states) if states > 1 else nn.Identity()
        self.projector = nn.Linear(width, projection)
        if pooling == "attentive":
            self.attention = nn.Sequential(nn.Linear(projection, projection), nn.Tanh(), nn.Linear(projection, 1))
        self.classifier = nn.Linear(2 * projection if pooling == "mean-deviation" else projection, len(labels))
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    @classmethod
    def kept(cls, setup: Setup) -> Self | None:
        """The checkpoint's own head."""
        if setup.problem is not None:
            setup.progress.log(f"{setup.problem}; a new head is trained in its place")
        return super().kept(setup)

    @classmethod
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """A head for the classes of the training manifest, with the weights of one that has the same classes."""
        wanted, encoder = setup.config.group_of(ClassificationConfig), setup.encoder
        labels = ClassLabels.from_manifest(train, multi_label=wanted.multi_label)
        setup.progress.log(f"{len(labels)} classes in the training manifest: {', '.join(labels.names)}")
        if kept and (kept.labels.to_dict() != labels.to_dict() or kept.pooling != wanted.pooling):
            kept = None
        head = cls(
            encoder.width,
            labels,
            **({"projection": kept.projector.out_features} if kept else {}),
            pooling=wanted.pooling,
            multi_label=wanted.multi_label,
            label_smoothing=wanted.label_smoothing,
            class_weights=labels.weights(train) if wanted.class_weights else None,
            pool_padding=encoder.fixed_length,
            states=encoder.num_states,
        )
        if kept:
            head.load_state_dict(kept.state_dict())
            setup.progress.log(f"{setup.config.model} has a head for these classes, which is kept")
        return head

    @classmethod
    def unusable(cls, utterance: Utterance, num_frames: int, setup: Setup, kept: Self | None) -> Unusable | None:
        """No label."""
        multi_label = setup.config.group_of(ClassificationConfig).multi_label
        has_label = bool(utterance.label) or (multi_label and utterance.label is not None)
        return None if has_label else Unusable("have no label", f"wanted the class of {utterance.audio}")

    @classmethod
    def check_usable(cls, train: Manifest, usable: Manifest, setup: Setup, kept: Self | None) -> None:
        """Every class of the training manifest has to be left.

        Raises:
            DataError: one is not.
        """
        multi_label = setup.config.group_of(ClassificationConfig).multi_label
        before, after = (
            {name for one in manifest if one.label for name in named(one.label, multi_label=multi_label)}
            for manifest in (train, usable)
        )
        if lost := sorted(before - after):
            raise DataError(
                f"{train.path}: no utterance of the class {lost[0]!r} can be used, so that it would not be learned; "
                "repair them, or leave the class out"
            )

    def check_splits(self, splits: Mapping[str, Manifest], config: FinetuneConfig, progress: Progress) -> None:
        """Report the classes that have a single training utterance."""
        train, counts = splits["train"], self.labels.counts(splits["train"])
        single = {
            self.labels.names[number]: utterance.origin
            for utterance in train
            for number in self.labels.numbers(utterance)
            if counts[self.labels.names[number]] == 1
        }
        if single:
            shown = ", ".join(f"{name!r} ({line})" for name, line in list(single.items())[:_MOST_RARE])
            more = ", …" if len(single) > _MOST_RARE else ""
            progress.log(
                f"{len(single)} of {len(self.labels)} classes have a single training utterance, which is too little "
                f"to learn them from: {shown}{more}. Add some, join the class to another, or leave it out."
            )

    def is_comparable(self, other: Head) -> bool:
        """Both have to tell the same classes."""
        return isinstance(other, ClassificationHead) and other.labels.to_dict() == self.labels.to_dict()

    def targets(self, utterance: Utterance) -> list[int]:
        """Numbers of the utterance's classes: one, unless several may hold.

        Raises:
            DataError: it has no label, or one that was not trained.
        """
        return self.labels.numbers(utterance)

    def forward(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor:
        """[batch, frames, width], [batch] -> logits [batch, classes], always in float32.

        An utterance without a single frame has the classifier's bias.
        """
        lengths = torch.full_like(num_frames, hidden_states.shape[1]) if self.pool_padding else num_frames
        valid = valid_positions(lengths.to(hidden_states.device, non_blocking=True), hidden_states.shape[1])[..., None]
        # What stands beyond an utterance's end may be anything, even no number.
        projected = self.projector(self.layer_sum(hidden_states.masked_fill(~valid, 0.0))).float()
        return cast(Tensor, self.classifier(self._pool(projected, valid)).float())

    def _pool(self, projected: Tensor, valid: Tensor) -> Tensor:
        """[batch, frames, projection] and which frames are valid [batch, frames, 1] -> what the classifier takes."""
        weights = self._frame_weights(projected, valid)
        mean = (weights * projected).sum(dim=1)
        if self.pooling != "mean-deviation":
            return mean
        variance = (weights * (projected - mean[:, None]) ** 2).sum(dim=1)
        return torch.cat([mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()], dim=1)

    def _frame_weights(self, projected: Tensor, valid: Tensor) -> Tensor:
        """What each frame counts in the mean [batch, frames, 1]; zero where it is not valid."""
        if self.pooling != "attentive":
            return valid / valid.sum(dim=1, keepdim=True).clamp(min=1)
        scores = self.attention(projected).float().masked_fill(~valid, torch.finfo(torch.float32).min)
        return cast(Tensor, scores.softmax(dim=1) * valid)

    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Summed cross-entropy; where several classes may hold, summed over the classes as well."""
        logits = self(hidden_states, num_frames)
        if not self.labels.multi_label:
            numbers = torch.tensor([number for (number,) in targets]).to(logits.device, non_blocking=True)
            return F.cross_entropy(
                logits, numbers, self.class_weights, label_smoothing=self.label_smoothing, reduction="sum"
            )
        rows = [F.one_hot(torch.tensor(row, dtype=torch.int64), len(self.labels)).sum(dim=0) for row in targets]
        held = torch.stack(rows).float().to(logits.device, non_blocking=True)
        smooth = held * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=self.class_weights, reduction="sum")

    def outputs(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor:
        """The probability of each class [batch, classes]."""
        logits = self(hidden_states, num_frames)
        return cast(Tensor, logits.sigmoid() if self.labels.multi_label else logits.softmax(dim=-1))

    def interchange(self) -> Interchange | None:
        """`projector` and `classifier`; None for poolings that `transformers` does not have."""
        if self.pooling != "mean":
            return None
        names = self.labels.names
        problem = "multi_label_classification" if self.labels.multi_label else "single_label_classification"
        config = {
            "id2label": {str(number): name for number, name in enumerate(names)},
            "label2id": {name: number for number, name in enumerate(names)},
            "num_labels": len(names), "classifier_proj_size": self.projector.out_features,
            "use_weighted_layer_sum": isinstance(self.layer_sum, LayerSum), "problem_type": problem,
        }  # fmt: skip
        written = {"layer_sum.weights": "layer_weights", "projector.": "projector.", "classifier.": "classifier."}
        return Interchange(written, config)

    def summary(self) -> str:
        """With its classes."""
        names, more = self.labels.names[:_MOST_SHOWN], len(self.labels) - _MOST_SHOWN
        return f"classification head for {', '.join(names)}{f' and {more} more' if more > 0 else ''}"

    def describe(self) -> dict[str, Any]:
        """Classes, pooling and what the loss weighs."""
        return {
            "kind": self.kind,
            "labels": self.labels.to_dict(),
            "projection": self.projector.out_features,
            "pooling": self.pooling,
            "label_smoothing": self.label_smoothing,
            "class_weights": None if self.class_weights is None else self.class_weights.tolist(),
            "pool_padding": self.pool_padding,
        }

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights."""
        labels = ClassLabels(**description["labels"])
        options = ("projection", "pooling", "label_smoothing", "class_weights", "pool_padding")
        chosen = {name: description[name] for name in options}
        return cls(encoder.width, labels, multi_label=labels.multi_label, states=encoder.num_states, **chosen)
