"""Connectionist temporal classification over characters (Graves et al., 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig
from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import CTCVocabulary, TextNormalizer, frames_needed
from speechxfer.decoding.greedy import collapse, hypothesis
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.base import Head, Interchange
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.heads.layer_sum import LayerSum
from speechxfer.heads.setup import Setup, Unusable
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

    kind = "ctc"
    is_frame_synchronous = True
    decoding_options = frozenset({"word_times"})

    def __init__(
        self, width: int, frame_rate: float, vocabulary: CTCVocabulary, normalizer: TextNormalizer, *, states: int = 1
    ) -> None:
        super().__init__()
        self.frame_rate = frame_rate
        self.vocabulary = vocabulary
        self.normalizer = normalizer
        self.layer_sum = LayerSum(states) if states > 1 else nn.Identity()
        self.projection = nn.Linear(width, len(vocabulary))

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
    def from_config(cls, setup: Setup, kept: Self | None, train: Manifest) -> Self:
        """A new head for the characters of the training text, or the checkpoint's own, extended where that is asked."""
        if kept is None:
            return cls._new(setup, train)
        kept.normalizer = cls.training_normalizer(setup, kept)
        symbols = kept.vocabulary.symbols
        new = kept.vocabulary.extended("".join(map(kept.normalizer, texts(train)))).symbols[len(symbols) :]
        writes = f"{setup.config.model} has a CTC head for {len(symbols)} characters"
        if not new:
            setup.progress.log(f"{writes}, which is kept")
            return kept
        if setup.config.group_of(CTCConfig).vocabulary != "extend":
            raise DataError(
                f"{train.path}: {''.join(new)!r} occur in the training text (as normalizer {kept.normalizer.name!r} "
                f"writes it), but {writes} without them; write it otherwise with --normalizer, add them with "
                "--extend-vocabulary, or begin with a new head with --new-vocabulary"
            )
        setup.progress.log(f"{writes}, to which {len(new)} are added: {''.join(new)!r}")
        return kept.extended(new)

    @classmethod
    def _new(cls, setup: Setup, train: Manifest) -> Self:
        normalizer, encoder = cls.training_normalizer(setup, None), setup.encoder
        vocabulary = CTCVocabulary.from_texts(normalizer(text) for text in texts(train))
        setup.progress.log(f"{len(vocabulary) - 1} characters in the training text: {''.join(vocabulary.symbols)!r}")
        return cls(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)

    @classmethod
    def restore(cls, description: Mapping[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Self:
        """The inverse of `describe`, with random weights."""
        normalizer = TextNormalizer.restore(description["normalizer"])
        vocabulary = CTCVocabulary(cast(list[str], description["vocabulary"]["symbols"]))
        return cls(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)

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
        needed = frames_needed([ord(character) for character in text])  # unknown ones are refused elsewhere
        if num_frames >= max(needed, 1):
            return None
        remedy = "a smaller --frame-stride gives more" if setup.encoder.pooling else "does it belong there?"
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

    def _unknown(self, name: str, manifest: Manifest) -> str | None:
        """A line about the characters of a split that the vocabulary lacks."""
        missing = {
            utterance.origin: "".join(unknown)
            for utterance, text in zip(manifest, texts(manifest), strict=True)
            if (unknown := self.vocabulary.unknown(self.normalizer(text)))
        }
        if not missing:
            return None
        line, characters = next(iter(missing.items()))
        return (
            f"{line}: {characters!r} does not occur in the training text, so it cannot be written "
            f"({len(missing)} of {len(manifest)} utterances of {name} hold such characters)"
        )

    def targets(self, utterance: Utterance) -> list[int]:
        """Numbers of the normalized transcript's characters; unknown ones are left out."""
        return self.vocabulary.encode(self.normalizer(utterance.text or ""))

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
            blank=CTCVocabulary.BLANK, reduction="sum", zero_infinity=True,
        )  # fmt: skip

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """With word times, which cost nothing."""
        return DecodingOptions(word_times=True)

    def _decode(self, hidden_states: Tensor, num_frames: Tensor, options: DecodingOptions) -> list[Hypothesis]:
        """Greedy: the most likely symbol of every frame."""
        best, path = self(hidden_states).max(dim=-1)
        rows = zip(path.tolist(), best.tolist(), num_frames.tolist(), strict=True)
        found = [self._read(row[:length], scores[:length]) for row, scores, length in rows]
        return found if options.word_times else [replace(one, words=()) for one in found]

    def _read(self, path: list[int], log_probabilities: list[float]) -> Hypothesis:
        symbols = collapse(path, log_probabilities, CTCVocabulary.BLANK)
        characters = [self.vocabulary.decode([symbol.number]) for symbol in symbols]
        separator = " " if " " in self.vocabulary.symbols else ""
        return hypothesis(symbols, characters, 1.0 / self.frame_rate, separator=separator)

    def extended(self, characters: Sequence[str]) -> Self:
        """A head that can write further characters; what it knew before, it still knows.

        New rows begin as random as those of a new head, with the mean bias of the old characters.
        """
        vocabulary = self.vocabulary.extended(characters)
        head = type(self)(self.projection.in_features, self.frame_rate, vocabulary, self.normalizer)
        head.layer_sum = self.layer_sum
        known = len(self.vocabulary)
        with torch.no_grad():
            head.projection.weight[:known] = self.projection.weight
            head.projection.bias[known:] = self.projection.bias[1:].mean()
            head.projection.bias[:known] = self.projection.bias
        return head

    def interchange(self) -> Interchange | None:
        """`lm_head`, and the files of a `Wav2Vec2CTCTokenizer` that spells as the vocabulary does.

        None where "|" is a character, for that is how such a tokenizer spells the space, and for a sum of layers.
        """
        symbols = self.vocabulary.symbols
        if "|" in symbols or isinstance(self.layer_sum, LayerSum):
            return None
        spelled = {"|" if symbol == " " else symbol: number for number, symbol in enumerate(symbols, start=1)}
        tokenizer = {
            "tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": "|", "do_lower_case": False,
            "pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>",
        }  # fmt: skip
        config = {
            "vocab_size": len(self.vocabulary), "pad_token_id": CTCVocabulary.BLANK,
            "ctc_loss_reduction": "mean", "ctc_zero_infinity": True,
        }  # fmt: skip
        files = {"vocab.json": {"<pad>": CTCVocabulary.BLANK, **spelled}, "tokenizer_config.json": tokenizer}
        return Interchange({"projection.": "lm_head."}, config, files)

    def summary(self) -> str:
        """With how many characters it writes."""
        return f"ctc head for {len(self.vocabulary.symbols)} characters"

    def describe(self) -> dict[str, Any]:
        """Vocabulary and normalizer."""
        return {
            "kind": self.kind,
            "vocabulary": self.vocabulary.to_dict(),
            "normalizer": self.normalizer.to_dict(),
        }
