"""Connectionist temporal classification over characters (Graves et al., 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.data.manifest import Utterance
from speechxfer.data.text import CTCVocabulary, TextNormalizer, frames_needed
from speechxfer.decoding.greedy import collapse, hypothesis
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import DecodingOptions
from speechxfer.heads.base import Head, Interchange
from speechxfer.heads.layer_sum import LayerSum


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

    def targets(self, utterance: Utterance) -> list[int]:
        """Numbers of the normalised transcript's characters; unknown ones are left out."""
        return self.vocabulary.encode(self.normalizer(utterance.text or ""))

    def learnable(self, targets: Sequence[int], num_frames: int) -> bool:
        """Whether there are enough frames to spell the targets."""
        return num_frames >= max(frames_needed(targets), 1)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, frames, width] -> log-probabilities [batch, frames, symbols + 1], always in float32."""
        return F.log_softmax(self.logits(hidden_states).float(), dim=-1)

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

    def extended(self, characters: Sequence[str]) -> CTCHead:
        """A head that can write further characters; what it knew before, it still knows.

        New rows begin as random as those of a new head, with the mean bias of the old characters.
        """
        vocabulary = self.vocabulary.extended(characters)
        head = CTCHead(self.projection.in_features, self.frame_rate, vocabulary, self.normalizer)
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
        """Vocabulary and normaliser."""
        return {
            "kind": self.kind,
            "vocabulary": self.vocabulary.to_dict(),
            "normalizer": self.normalizer.to_dict(),
        }
