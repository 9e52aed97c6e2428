"""A head that tells apart the whole texts of its training manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder, valid_positions
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.heads.base import Head
from speechxfer.heads.setup import Setup
from toy_speech import WholeTextConfig


class WholeTextHead(Head):
    """The mean of an utterance's hidden states, a hidden layer, and an output for each text.

    Args:
        width: size of a hidden state.
        hidden_units: of the hidden layer.
        texts: what it can write.
        normalizer: how transcripts are written before they are learned.
    """

    kind = "whole-text"

    def __init__(self, width: int, hidden_units: int, texts: Sequence[str], normalizer: TextNormalizer) -> None:
        super().__init__()
        self.texts, self.normalizer, self.hidden_units = list(texts), normalizer, hidden_units
        self.scores = nn.Sequential(nn.Linear(width, hidden_units), nn.ReLU(), nn.Linear(hidden_units, len(self.texts)))

    @classmethod
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """A new one for the texts of the training manifest."""
        normalizer = cls.training_normalizer(setup, kept)
        texts = sorted({normalizer(utterance.text or "") for utterance in train})
        return cls(setup.encoder.width, setup.config.group_of(WholeTextConfig).hidden_units, texts, normalizer)

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights."""
        normalizer = TextNormalizer.restore(description["normalizer"])
        return cls(encoder.width, description["hidden_units"], description["texts"], normalizer)

    def describe(self) -> dict[str, Any]:
        """What `restore` needs."""
        described = {"kind": self.kind, "texts": self.texts, "hidden_units": self.hidden_units}
        return described | {"normalizer": self.normalizer.to_dict()}

    def targets(self, utterance: Utterance) -> list[int]:
        """The number of the text; of one that is not known, the first."""
        text = self.normalizer(utterance.text or "")
        return [self.texts.index(text) if text in self.texts else 0]

    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Summed cross-entropy."""
        numbers = torch.tensor([number for (number,) in targets], device=hidden_states.device)
        return F.cross_entropy(self._logits(hidden_states, num_frames), numbers, reduction="sum")

    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> list[Hypothesis]:
        best, numbers = self._logits(hidden_states, num_frames).softmax(-1).max(-1)
        pairs = zip(numbers.tolist(), best.tolist(), strict=True)
        return [Hypothesis(self.texts[number], (), confidence) for number, confidence in pairs]

    def _logits(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor:
        valid = valid_positions(num_frames.to(hidden_states.device), hidden_states.shape[1])[..., None]
        mean = (hidden_states * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
        return self.scores(mean).float()
