"""Moonshine's tokens."""

from __future__ import annotations

from typing import Any, Self

from tokenizers import Tokenizer
from transformers import MoonshineConfig

from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError
from speechxfer.heads.seq2seq.tokens import DecoderTokens
from speechxfer.heads.tokenizer_files import read_tokenizer


class MoonshineTokens(DecoderTokens):
    """A Moonshine's tokenizer.

    Args:
        tokenizer: as the model's `tokenizer.json` has it.
        config: of the model, which names the tokens around a transcript.
    """

    def __init__(self, tokenizer: Tokenizer, config: MoonshineConfig) -> None:
        super().__init__(tokenizer, config.vocab_size)
        #: The token that starts a transcript.
        self.start: int = config.decoder_start_token_id
        end = config.eos_token_id
        self.end = end if isinstance(end, int) else end[0]
        marked = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        unnamed = {number for number in range(self.vocab_size) if tokenizer.id_to_token(number) is None}
        self.special = sorted(marked | unnamed)

    @classmethod
    def read(cls, checkpoint: Checkpoint, config: MoonshineConfig) -> Self:
        """From a model's folder.

        Raises:
            CheckpointError: there is no tokenizer, or one that is damaged or another model's.
        """
        tokenizer = read_tokenizer(checkpoint)
        highest = max(tokenizer.get_vocab().values(), default=-1)
        if highest >= config.vocab_size:
            raise CheckpointError(f"{checkpoint.file('tokenizer.json')}: its tokens are numbered up to {highest}, but the decoder has {config.vocab_size} outputs (vocab_size in config.json); one of them is of another model")  # fmt: skip  # noqa: E501
        return cls(tokenizer, config)

    def settings(self) -> dict[str, Any]:
        """The content of `tokenizer_config.json`."""
        start, end = map(self.tokenizer.id_to_token, (self.start, self.end))
        names = {"bos_token": start, "eos_token": end, "pad_token": end}
        return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **names}
