"""The contract of heads, which turn hidden states into transcripts or classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder, Freezable, LayerGroup
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import DataError
from speechxfer.heads.reader import HeadTraits, Reader
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.progress import Progress


@dataclass(frozen=True)
class Interchange:
    """How `transformers` writes a head down."""

    #: Beginnings of the head's weights' names, ours -> theirs.
    names: Mapping[str, str]
    #: What it adds to `config.json`.
    config: Mapping[str, Any]
    #: Further JSON files of the folder by name.
    files: Mapping[str, Any] = field(default_factory=dict)


class Head(HeadTraits, Freezable, ABC):
    """Hidden states that leave the encoder to labels."""

    #: What turns its outputs into predictions; None where computing and reading are one, token by token.
    reader: Reader | None = None
    #: Most labels of an utterance; None where there is no limit.
    max_positions: int | None = None
    #: Peak learning rates of encoder and head that suit it, unless others are asked for.
    rates: tuple[float, float] = (3e-4, 3e-3)

    # Before training

    @classmethod
    def kept(cls, setup: Setup) -> Self | None:
        """The checkpoint's own head, where training goes on with it; None where a new one is trained.

        Raises:
            ConfigError: settings that ask for something else than the checkpoint has.
        """
        return setup.own if isinstance(setup.own, cls) and not setup.needs_new_head else None

    @classmethod
    def draft(cls, setup: Setup, kept: Self | None, measured: Sequence[tuple[Utterance, int]]) -> Self | None:
        """The head, if it decides which utterances can be used; else None.

        Args:
            setup: what it is made from.
            kept: what `kept` returned.
            measured: utterances that can be read, with the number of hidden states of each.

        Raises:
            DataError: a head that is asked for cannot be made for these utterances.
        """
        return kept

    @classmethod
    @abstractmethod
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """The head to be trained.

        Args:
            setup: what it is made from.
            kept: what `draft` returned, which is what `kept` returned unless a head says otherwise.
            train: the utterances that can be used, of which it takes its vocabulary or its classes.

        Raises:
            ConfigError: settings that do not fit.
            DataError: texts or labels that do not fit a head that is kept.
        """

    @classmethod
    @abstractmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights; the folder of the checkpoint holds what else it needs.

        Raises:
            CheckpointError: files are missing, or of a version that is not known.
        """

    @classmethod
    def training_normalizer(cls, setup: Setup, kept: Self | None) -> TextNormalizer:
        """How transcripts are written before they are learned."""
        return TextNormalizer(setup.config.text.new_head_normalizer)

    @classmethod
    def unusable(cls, utterance: Utterance, num_frames: int, setup: Setup, kept: Self | None) -> Unusable | None:
        """Why an utterance with so many hidden states cannot be used in training; None where it can."""
        return None if utterance.text is not None else Unusable("have no text", f"wanted the transcript of {utterance.audio}")  # fmt: skip  # noqa: E501

    @classmethod
    def check_usable(cls, train: Manifest, usable: Manifest, setup: Setup, kept: Self | None) -> None:
        """Check that what is left of the training manifest teaches something.

        Raises:
            DataError: it does not, with the first line.
        """
        normalizer = cls.training_normalizer(setup, kept)
        if not any(normalizer(utterance.text or "") for utterance in usable):
            raise DataError(
                f"{train.path}: none of its {len(usable)} texts holds a character after normalizer {normalizer}, so "
                f"the model would learn to write nothing; the first is {usable[0].origin}: {usable[0].text!r:.80}"
            )

    def check_splits(self, splits: Mapping[str, Manifest], config: FinetuneConfig, progress: Progress) -> None:
        """Report what of the splits ("train", "dev", "test", "retain") does not suit the head.

        Raises:
            DataError: something would fail late.
        """

    def unused_settings(self, config: FinetuneConfig, train: Manifest) -> Iterator[tuple[str, str]]:
        """Settings of the head that have no effect on a run, each with the reason."""
        yield from ()

    def training_manifest(self, train: Manifest, config: FinetuneConfig, folder: Path) -> Manifest:
        """The training manifest with what the head adds to it, whose audio is written to a folder."""
        return train

    def is_comparable(self, other: Head) -> bool:
        """Whether the errors of two heads on the same utterances can be compared."""
        return self.task == other.task

    # Training

    @abstractmethod
    def targets(self, utterance: Utterance) -> list[int]:
        """The label sequence of an utterance."""

    def num_labels(self, targets: Sequence[int]) -> int:
        """How many of an utterance's labels are learned; what losses are divided by.

        At least one: that an utterance has no label is to be learned as well.
        """
        return max(len(targets), 1)

    def written(self, text: str) -> str:
        """A transcript as the head learns to write it."""
        return text

    def learnable(self, targets: Sequence[int], num_frames: int) -> bool:
        """Whether so many hidden states can have this label sequence; where not, the utterance teaches nothing."""
        return True

    @abstractmethod
    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """[batch, frames, width], [batch] and a label sequence each -> the summed loss, a scalar.

        Lengths that are on the CPU spare a GPU a synchronization.

        Summed, not averaged: the caller divides by the number of labels of the whole optimizer step, so that
        accumulation and several processes weigh every label alike.
        """

    # Decoding

    def frame_log_probabilities(self, hidden_states: Tensor) -> Tensor:
        """[..., width] -> natural logarithms of the symbols' probabilities [..., symbols], 0 being the blank.

        Only of a head that `is_frame_synchronous`.
        """
        raise NotImplementedError(f"a {self.kind} head gives no probabilities for single hidden states")

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """Those of its reader."""
        return self.reader.decoding_defaults if self.reader else super().decoding_defaults

    def check_options(self, options: DecodingOptions) -> None:
        """As its reader does."""
        if self.reader is None:
            super().check_options(options)
        else:
            self.reader.check_options(options)

    @property
    def symbol_texts(self) -> list[str]:
        """Those of its reader."""
        return self.reader.symbol_texts if self.reader else super().symbol_texts

    def spell(self, text: str) -> list[int | None]:
        """As its reader does."""
        return self.reader.spell(text) if self.reader else super().spell(text)

    def decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> Sequence[Prediction]:
        """[batch, frames, width], [batch] -> one prediction each: hypotheses, or classifications, as `task` says.

        Raises:
            ConfigError: an option or a value that the head does not have.
        """
        self.check_options(options)
        return self._decode(hidden_states, num_frames, options.over(self.decoding_defaults))

    def outputs(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor:
        """[batch, frames, width], [batch] -> what its reader reads [batch, ...]; only of a head that has one."""
        raise NotImplementedError(f"a {self.kind} head has no reader")

    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> Sequence[Prediction]:
        """As `decode`, with options that are checked and have the head's defaults filled in.

        A head without a reader has a way of its own. It must not change the head: several threads decode with one.
        """
        assert self.reader is not None
        outputs = self.outputs(hidden_states, num_frames).detach().float().cpu().numpy()
        return self.reader.read(outputs, num_frames.tolist(), options)

    def layer_groups(self) -> list[LayerGroup]:
        """One part, unless a head has layers of its own."""
        return [LayerGroup(f"{self.kind} head", 1, (self,))]

    def set_dropout(self, probability: float) -> None:
        """Share of activations set to zero in layers that are trained; most heads have none."""

    # Files

    def interchange(self) -> Interchange | None:
        """How `transformers` writes this head down; None where it has no such head."""
        return None

    def files(self) -> Mapping[str, Any]:
        """JSON files by name that `restore` reads, written into every folder of a model with this head."""
        return {}

    def write_files(self, folder: Path) -> None:
        """Write what else `restore` reads, and is no JSON, into the folder of a model with this head."""

    def summary(self) -> str:
        """What it is, in a few words."""
        return f"{self.kind} head"

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is needed to build the same head again: plain JSON values."""
