"""The contract of what stands on an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from speechxfer.data.manifest import Utterance
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Freezable, LayerGroup
from speechxfer.errors import ConfigError


@dataclass(frozen=True)
class Interchange:
    """How `transformers` writes a head down."""

    #: Beginnings of the head's weights' names, ours -> theirs.
    names: Mapping[str, str]
    #: What it adds to `config.json`.
    config: Mapping[str, Any]
    #: Further JSON files of the folder by name.
    files: Mapping[str, Any] = field(default_factory=dict)


class Head(Freezable, ABC):
    """Hidden states at the encoder's last cut to labels."""

    kind: str
    #: What its predictions are: what was said, or which class it is.
    task: Literal["transcription", "classification"] = "transcription"

    #: The options of decoding that it has: names of fields of `DecodingOptions`.
    decoding_options: frozenset[str] = frozenset()
    #: Most labels of an utterance; None where there is no limit.
    max_positions: int | None = None
    #: Peak learning rates of encoder and head that suit it, unless others are asked for.
    rates: tuple[float, float] = (3e-4, 3e-3)

    @abstractmethod
    def targets(self, utterance: Utterance) -> list[int]:
        """The label sequence of an utterance."""

    def num_labels(self, targets: Sequence[int]) -> int:
        """How many of an utterance's labels are learned; what losses are divided by.

        At least one: that an utterance has no label is to be learned as well.
        """
        return max(len(targets), 1)

    def learnable(self, targets: Sequence[int], num_frames: int) -> bool:
        """Whether so many hidden states can have this label sequence; where not, the utterance teaches nothing."""
        return True

    @abstractmethod
    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """[batch, frames, width], [batch] and a label sequence each -> the summed loss, a scalar.

        Lengths that are on the CPU spare a GPU a synchronisation.

        Summed, not averaged: the caller divides by the number of labels of the whole optimiser step, so that
        accumulation and several processes weigh every label alike.
        """

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """What an option is where a call leaves it out."""
        return DecodingOptions()

    def decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> Sequence[Prediction]:
        """[batch, frames, width], [batch] -> one prediction each: hypotheses, or classifications, as `task` says.

        Raises:
            ConfigError: an option or a value that the head does not have.
        """
        self.check_options(options)
        return self._decode(hidden_states, num_frames, options.over(self.decoding_defaults))

    @abstractmethod
    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> Sequence[Prediction]:
        """As `decode`, with options that are checked and have the head's defaults filled in.

        It must not change the head: several threads decode with one.
        """

    def check_options(self, options: DecodingOptions) -> None:
        """Check that `decode` takes these options; None always passes, and so does a word_times of False.

        Raises:
            ConfigError: an option or a value that the head does not have.
        """
        for name, value in options.given().items():
            if name not in self.decoding_options and value is not False:
                has = ", ".join(sorted(self.decoding_options)) or "none"
                raise ConfigError(f"{name} is {value!r}, but a {self.kind} head has no such option; leave it out (options of its decoding: {has})")  # fmt: skip  # noqa: E501

    def layer_groups(self) -> list[LayerGroup]:
        """One part, unless a head has layers of its own."""
        return [LayerGroup(f"{self.kind} head", 1, (self,))]

    def set_dropout(self, probability: float) -> None:
        """Share of activations set to zero in layers that are trained; most heads have none."""

    def interchange(self) -> Interchange | None:
        """How `transformers` writes this head down; None where it has no such head."""
        return None

    def summary(self) -> str:
        """What it is, in a few words."""
        return f"{self.kind} head"

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is needed to build the same head again: plain JSON values."""
