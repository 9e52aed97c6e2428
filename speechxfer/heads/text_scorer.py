"""Heads that say how likely a given text is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from speechxfer.decoding.options import DecodingOptions
from speechxfer.heads.base import Head


class TextScorer(Head):
    """A head that rates texts which it has not written itself."""

    @abstractmethod
    def num_positions(self, text: str) -> int:
        """How many of its `max_positions` a text takes, with all that stands around it."""

    @abstractmethod
    def log_probabilities(
        self, hidden_states: Tensor, num_frames: Tensor, texts: Sequence[Sequence[str]], options: DecodingOptions
    ) -> list[list[float]]:
        """[batch, frames, width], [batch], some texts for each -> natural logarithms of their probabilities.

        Raises:
            ConfigError: an option of decoding that the head does not have, or a language that the model lacks.
        """
