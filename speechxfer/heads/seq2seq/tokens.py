"""A decoder's tokens: what spells text, and what is never written."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tokenizers import Tokenizer


class DecoderTokens:
    """A decoder's tokenizer, and what is known of its tokens.

    Args:
        tokenizer: as the model's `tokenizer.json` has it.
        vocab_size: outputs of the model.
    """

    #: The token that ends a transcript.
    end: int
    #: Tokens that are never written.
    special: list[int]

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size

    def spell(self, text: str) -> list[int]:
        """Text to tokens, without those around it."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids if text else []

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens to text, without special ones and without the beginning of a character at the end.

        A token may be part of a character, so a sequence that was cut at its limit may end within one.
        """
        return self._decoded(tokens).strip()

    def ends(self, tokens: Sequence[int]) -> list[int]:
        """The number of characters of `text` up to the end of each token; one within a character counts without it."""
        whole = self._decoded(tokens)
        before, length = len(whole) - len(whole.lstrip()), len(whole.strip())
        counts = (len(self._decoded(tokens[:count])) - before for count in range(1, len(tokens) + 1))
        return list(accumulate((min(max(count, 0), length) for count in counts), max))

    def _decoded(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.rstrip("\N{REPLACEMENT CHARACTER}")
