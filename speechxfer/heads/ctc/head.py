"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig
from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters, Vocabulary, frames_needed
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.lexicon import Lexicon, Search
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.base import Head, Interchange
from speechxfer.heads.ctc.choice import choose
from speechxfer.heads.ctc.files import tokenizer_files
from speechxfer.heads.ctc.reader import CTCReader
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.heads.fusion import Fusion
from speechxfer.heads.layer_sum import LayerSum
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.language_models import LanguageModel
from speechxfer.progress import Progress


class CTCHead(Head):
    """One linear layer to the vocabulary and the blank.

    Args:
        width: size of a hidden state.
        frame_rate: hidden states a second, for the times of words.
        vocabulary: the symbols.
        normalizer: how a transcript is written before it is spelled.
        states: how many hidden states stand side by side, to be weighed.
    """

    kind = CTCReader.kind
    is_frame_synchronous = CTCReader.is_frame_synchronous
    decoding_options = CTCReader.decoding_options
    reader: CTCReader

    def __init__(
        self, width: int, frame_rate: float, vocabulary: Vocabulary, normalizer: TextNormalizer, *, states: int = 1
    ) -> None:
        super().__init__()
        self.reader = CTCReader(vocabulary, normalizer, frame_rate)
        self.frame_rate = frame_rate
        self.layer_sum = LayerSum(states) if states > 1 else nn.Identity()
        self.projection = nn.Linear(width, len(vocabulary))

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols."""
        return self.reader.vocabulary

    @property
    def normalizer(self) -> TextNormalizer:
        """How a transcript is written before it is spelled."""
        return self.reader.normalizer

    @normalizer.setter
    def normalizer(self, normalizer: TextNormalizer) -> None:
        self.reader.normalizer = normalizer

    @property
    def fusion(self) -> Fusion | None:
        """The language model that takes part in decoding, if there is one."""
        return self.reader.fusion

    def fuse(self, fusion: Fusion | None) -> None:
        """Decode with a language model from now on; None for none.

        Raises:
            ConfigError: the vocabulary writes no spaces, so that there are no words.
        """
        self.reader.fuse(fusion)

    def lexicon(self, language_model: LanguageModel | None) -> Lexicon:
        """The words of a language model as the vocabulary spells them."""
        return self.reader.lexicon(language_model)

    @classmethod
    def kept(cls, setup: Setup) -> Self | None:
        """The checkpoint's own head, unless a new one is asked for."""
        wanted = setup.config.group_of(CTCConfig).vocabulary
        if wanted == "new":
            return None
        if setup.problem is not None:
            if wanted == "extend":
                raise ConfigError(f"ctc.vocabulary is 'extend', but {setup.problem}; take --new-vocabulary")
            setup.progress.log(f"{setup.problem}; a new head is trained in its place")
        return super().kept(setup)

    @classmethod
    def draft(cls, setup: Setup, kept: Self | None, measured: Sequence[tuple[Utterance, int]]) -> Self | None:
        """The head that is kept, or a new one with pieces of words; one with characters has those of what is usable."""
        if kept is not None:
            return kept
        normalizer, rate = cls.training_normalizer(setup, None), setup.encoder.output_frame_rate
        spoken = [(normalizer(one.text), frames) for one, frames in measured if one.text is not None]
        choice = choose(spoken, rate, setup.config.group_of(CTCConfig))
        if choice.reason:
            setup.progress.log(choice.reason)
        return None if choice.pieces is None else cls._new(setup, choice.pieces)

    @classmethod
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """A new head for the training text, or the checkpoint's own, extended where that is asked."""
        if kept is None:
            written = Characters.from_texts(map(cls.training_normalizer(setup, None), texts(train)))
            setup.progress.log(f"{len(written.symbols)} characters in the training text: {''.join(written.symbols)!r}")
            return cls._new(setup, written)
        if kept is not setup.own:
            return kept
        if kept.fusion is not None:
            setup.progress.log("the model's language model is left out, for it is tuned to what the model was")
            kept.fuse(None)
        kept.normalizer, vocabulary = cls.training_normalizer(setup, kept), kept.vocabulary
        new = vocabulary.missing(map(kept.normalizer, texts(train)))
        writes = f"{setup.config.model} has a CTC head for {len(vocabulary.symbols)} {vocabulary.units}"
        if not new:
            setup.progress.log(f"{writes}, which is kept")
            return kept
        if setup.config.group_of(CTCConfig).vocabulary != "extend":
            raise DataError(
                f"{train.path}: {vocabulary.listed(new)!r} occur in the training text (as normalizer "
                f"{kept.normalizer.name!r} writes it), but {writes} without them; write it otherwise with "
                "--normalizer, add them with --extend-vocabulary, or begin with a new head with --new-vocabulary"
            )
        setup.progress.log(f"{writes}, to which {len(new)} are added: {vocabulary.listed(new)!r}")
        return kept.extended(new)

    @classmethod
    def _new(cls, setup: Setup, vocabulary: Vocabulary) -> Self:
        normalizer, encoder = cls.training_normalizer(setup, None), setup.encoder
        return cls(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights."""
        reader = CTCReader.restore({**description, "frame_rate": encoder.output_frame_rate}, checkpoint.file)
        head = cls(encoder.width, reader.frame_rate, reader.vocabulary, reader.normalizer, states=encoder.num_states)
        head.reader = reader
        return head

    @classmethod
    def training_normalizer(cls, setup: Setup, kept: Self | None) -> TextNormalizer:
        """That of a head that is kept, unless another is asked for."""
        if kept is not None and not setup.config.text.normalizer:
            return kept.normalizer
        return super().training_normalizer(setup, kept)

    @classmethod
    def unusable(cls, utterance: Utterance, num_frames: int, setup: Setup, kept: Self | None) -> Unusable | None:
        """No text, or more characters than there are frames to spell them."""
        if (found := super().unusable(utterance, num_frames, setup, kept)) is not None:
            return found
        text = cls.training_normalizer(setup, kept)(utterance.text or "")
        # Unknown symbols count as others do: they are refused elsewhere.
        needed = kept.vocabulary.frames_needed(text) if kept else max(frames_needed(text), 1)
        if num_frames >= needed:
            return None
        remedies = ["a smaller --frame-stride gives more"] if setup.encoder.pooling else []
        if kept is None and setup.config.group_of(CTCConfig).units == "characters":
            remedies.append("pieces of words need fewer (--units pieces)")
        remedy = ", and ".join(remedies) or "does it belong there?"
        return Unusable("are too short for their text", f"{num_frames} frames, but {needed} are needed to spell it; {remedy}")  # fmt: skip  # noqa: E501

    def check_splits(self, splits: Mapping[str, Manifest], config: FinetuneConfig, progress: Progress) -> None:
        """Characters outside the vocabulary; of "retain" they are what is forgotten, and fine.

        Raises:
            DataError: there are some, and they are not to be ignored.
        """
        for name, manifest in splits.items():
            if name == "retain" or not (message := self._unknown(name, manifest)):
                continue
            if not config.group_of(CTCConfig).ignore_unknown:
                raise DataError(f"{message}; add training text with it, or pass --ignore-unknown to count it as wrong")
            progress.log(f"{message}; they count as wrong")

    def unused_settings(self, config: FinetuneConfig, train: Manifest) -> Iterator[tuple[str, str]]:
        """What was asked for of a new vocabulary, where the checkpoint's own is kept or has characters."""
        own, vocabulary = config.group_of(CTCConfig), self.vocabulary
        kept = "the vocabulary of the checkpoint is kept (--new-vocabulary replaces it)"
        if own.units not in ("auto", vocabulary.kind):
            yield "ctc.units", kept
        if own.vocabulary_size != len(vocabulary.symbols):
            yield "ctc.vocabulary_size", "ctc.units is characters" if own.units == vocabulary.kind else kept

    def _unknown(self, name: str, manifest: Manifest) -> str | None:
        """A line about the characters of a split that the vocabulary lacks."""
        missing = {
            utterance.origin: self.vocabulary.listed(unknown)
            for utterance, text in zip(manifest, texts(manifest), strict=True)
            if (unknown := self.vocabulary.unknown(self.normalizer(text)))
        }
        if not missing:
            return None
        line, symbols = next(iter(missing.items()))
        return (
            f"{line}: {symbols!r} does not occur in the training text, so it cannot be written "
            f"({len(missing)} of {len(manifest)} utterances of {name} hold such {self.vocabulary.foreign})"
        )

    def targets(self, utterance: Utterance) -> list[int]:
        """Indices of the symbols of the normalized transcript; unknown ones are left out."""
        return self.vocabulary.encode(self.written(utterance.text or ""))

    def written(self, text: str) -> str:
        """As its normalizer writes it."""
        return self.normalizer(text)

    def learnable(self, targets: Sequence[int], num_frames: int) -> bool:
        """Whether there are enough frames to spell the targets."""
        return num_frames >= max(frames_needed(targets), 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, frames, width] -> log-probabilities [batch, frames, symbols + 1], always in float32."""
        return F.log_softmax(self.logits(hidden_states).float(), dim=-1)

    def frame_log_probabilities(self, hidden_states: Tensor) -> Tensor:
        """As `forward`."""
        return self.forward(hidden_states)

    def logits(self, hidden_states: Tensor) -> Tensor:
        """[batch, frames, width] -> [batch, frames, symbols + 1]."""
        return cast(Tensor, self.projection(self.layer_sum(hidden_states)))

    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Summed negative log-likelihood; an utterance with too few frames adds nothing (`zero_infinity`)."""
        if hidden_states.device.type == "cpu":
            from speechxfer.heads.ctc.loss import ctc_loss  # late: it is compiled on first use

            return ctc_loss(self.logits(hidden_states), num_frames, targets)
        # All on the CPU, where the kernel reads lengths; it moves the targets to the device by itself.
        flat = torch.tensor([number for row in targets for number in row], dtype=torch.int64)
        lengths = torch.tensor([len(row) for row in targets], dtype=torch.int64)
        log_probabilities = self(hidden_states).transpose(0, 1)
        return F.ctc_loss(
            log_probabilities, flat, num_frames.cpu(), lengths,
            blank=Vocabulary.BLANK, reduction="sum", zero_infinity=True,
        )  # fmt: skip

    def outputs(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor:
        """As `forward`."""
        return self.forward(hidden_states)

    def read_frames(self, log_probabilities: NDArray[np.float32], search: Search | None) -> Hypothesis:
        """[frames, symbols + 1] -> text with the times of its most likely path; greedy without a search."""
        return self.reader.read_frames(log_probabilities, search)

    def extended(self, symbols: Sequence[str]) -> Self:
        """A head that can write further symbols; what it knew before, it still knows.

        New rows begin as random as those of a new head, with the mean bias of the old symbols.
        """
        vocabulary = self.vocabulary.extended(symbols)
        head = type(self)(self.projection.in_features, self.frame_rate, vocabulary, self.normalizer)
        head.layer_sum = self.layer_sum
        known = len(self.vocabulary)
        with torch.no_grad():
            head.projection.weight[:known] = self.projection.weight
            head.projection.bias[known:] = self.projection.bias[1:].mean()
            head.projection.bias[:known] = self.projection.bias
        return head

    def interchange(self) -> Interchange | None:
        """`lm_head`, and the files of a tokenizer that writes as the vocabulary does.

        None where `transformers` has no such tokenizer, and for a sum of layers.
        """
        files = tokenizer_files(self.vocabulary)
        if files is None or isinstance(self.layer_sum, LayerSum):
            return None
        config = {
            "vocab_size": len(self.vocabulary), "pad_token_id": Vocabulary.BLANK,
            "ctc_loss_reduction": "mean", "ctc_zero_infinity": True,
        }  # fmt: skip
        return Interchange({"projection.": "lm_head."}, config, files)

    def summary(self) -> str:
        """With the size of its vocabulary."""
        return f"ctc head for {len(self.vocabulary.symbols)} {self.vocabulary.units}"

    def describe(self) -> dict[str, Any]:
        """What the reader needs; the frame rate is the encoder's."""
        return {name: value for name, value in self.reader.describe().items() if name != "frame_rate"}

    def write_files(self, folder: Path) -> None:
        """The language model."""
        self.reader.write_files(folder)
