"""Vocabularies of characters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from speechxfer.data.vocabulary.base import Vocabulary
from speechxfer.errors import DataError
from speechxfer.records import converted


class Characters(Vocabulary):
    """Characters, the space among them; some may be written by several code points, as "ch" or "ɛ̃" are.

    Where several symbols fit, the longest is taken.
    """

    kind = "characters"
    units = "characters"
    leading_spaces = False

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Self:
        """All characters of the (normalized) training texts, in code point order.

        Raises:
            DataError: the texts hold no character at all.
        """
        symbols = sorted(set().union(*texts) - {"\n"})
        if not symbols:
            raise DataError("the training texts hold no characters after normalization; nothing to learn")
        return cls(symbols)

    @classmethod
    def restore(cls, description: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(converted(list[str], description["symbols"], "symbols"))

    def split(self, text: str) -> list[str]:
        """The symbols that spell a text."""
        return list(text if self._most_characters == 1 else self._longest(text))

    def written(self, index: int) -> str:
        """The symbol."""
        return self.symbols[index - 1]

    def extended(self, symbols: Iterable[str]) -> Self:
        """With new characters appended in code point order."""
        return type(self)([*self.symbols, *sorted(set(symbols) - set(self.symbols))])

    @property
    def separator(self) -> str:
        """The text between two words: none where no space is written."""
        return " " if " " in self.symbols else ""
