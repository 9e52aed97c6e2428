"""The contract of what stands on an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from speechxfer.data.manifest import Utterance
from speechxfer.decoding.hypothesis import Hypothesis


class Head(nn.Module, ABC):
    """Hidden states at the encoder's last cut to labels."""

    kind: str

    @abstractmethod
    def targets(self, utterance: Utterance) -> list[int]:
        """The label sequence of an utterance."""

    @abstractmethod
    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """[batch, frames, width], [batch] and a label sequence each -> the summed loss, a scalar.

        Lengths that are on the CPU spare a GPU a synchronisation.

        Summed, not averaged: the caller divides by the number of labels of the whole optimiser step, so that
        accumulation and several processes weigh every label alike.
        """

    @abstractmethod
    def decode(self, hidden_states: Tensor, num_frames: Tensor, *, language: str | None = None) -> list[Hypothesis]:
        """[batch, frames, width], [batch] -> one hypothesis each.

        Raises:
            ConfigError: a language was named that the head does not know.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is needed to build the same head again: plain JSON values."""
