"""Vocabularies of phonemes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from speechxfer.data.vocabulary.base import Vocabulary
from speechxfer.records import converted


class Phonemes(Vocabulary):
    """Phonemes, which a text separates by spaces ("h ə l oʊ"); a mark between words is a symbol like the others.

    So error rates over words are error rates over phonemes.
    """

    kind = "phonemes"
    units = "phonemes"
    foreign = "phonemes"

    @classmethod
    def restore(cls, description: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(converted(list[str], description["symbols"], "symbols"))

    def split(self, text: str) -> list[str]:
        """The phonemes of a text."""
        return text.split()

    def written(self, index: int) -> str:
        """The phoneme after a space."""
        return f" {self.symbols[index - 1]}"

    def extended(self, symbols: Iterable[str]) -> Self:
        """With new phonemes appended in code point order."""
        return type(self)([*self.symbols, *sorted(set(symbols) - set(self.symbols))])

    def listed(self, symbols: Iterable[str]) -> str:
        """Some phonemes, separated by spaces."""
        return " ".join(symbols)
