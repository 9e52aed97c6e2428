"""The contract of vocabularies."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from speechxfer.errors import CheckpointError


class Vocabulary(ABC):
    """The symbols of a CTC head; index 0 is the blank.

    `decode(encode(text)) == text` for every text without unknown symbols that is written as a normalizer writes it:
    with single spaces between words and none around them.

    Args:
        symbols: distinct, in the order of their indices, which begin with 1.

    Raises:
        CheckpointError: symbols that are empty or occur twice.
    """

    BLANK = 0
    #: Its name in a model folder.
    kind: ClassVar[str]
    #: What its symbols are called.
    units: ClassVar[str]
    #: What it may lack: what a text is split into where no symbol fits.
    foreign: ClassVar[str] = "characters"
    #: Whether the first symbol of a word holds the space before it; otherwise the space is a symbol of its own.
    leading_spaces: ClassVar[bool] = True

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        self._indices = {symbol: index for index, symbol in enumerate(self.symbols, start=1)}
        self._most_characters = max(map(len, self.symbols), default=1)
        is_text = not any("\ud800" <= character <= "\udfff" for character in "".join(self.symbols))
        if len(self._indices) != len(self.symbols) or "" in self._indices or not is_text:
            raise CheckpointError(f"a CTC vocabulary is a list of distinct symbols; found {self.symbols!r:.200}")

    @classmethod
    @abstractmethod
    def restore(cls, description: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """For the model folder: plain JSON values."""
        return {"kind": self.kind, "symbols": list(self.symbols)}

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The symbols that spell a normalized text, unknown ones among them."""

    @abstractmethod
    def written(self, index: int) -> str:
        """What a symbol writes, with the space before it where `leading_spaces`."""

    @abstractmethod
    def extended(self, symbols: Iterable[str]) -> Self:
        """The vocabulary with those of the symbols appended that it lacks; texts that it knew are split as before."""

    @property
    def separator(self) -> str:
        """The text between two words."""
        return " "

    @property
    def alphabet(self) -> list[str]:
        """The characters of all symbols, in code point order."""
        return sorted(set().union(*self.symbols))

    def __len__(self) -> int:
        return len(self.symbols) + 1

    def unknown(self, text: str) -> Counter[str]:
        """The symbols of a text that are not in the vocabulary, with their counts."""
        return Counter(symbol for symbol in self.split(text) if symbol not in self._indices)

    def missing(self, texts: Iterable[str]) -> list[str]:
        """The symbols of all texts that are not in the vocabulary, in code point order."""
        return sorted(set().union(*map(self.unknown, texts)))

    def listed(self, symbols: Iterable[str]) -> str:
        """Some symbols in one text, for messages."""
        return "".join(symbols)

    def index(self, symbol: str) -> int | None:
        """The index of a symbol; None where it is unknown."""
        return self._indices.get(symbol)

    def encode(self, text: str) -> list[int]:
        """Indices of the symbols that spell a text; unknown ones are skipped."""
        return [self._indices[symbol] for symbol in self.split(text) if symbol in self._indices]

    def decode(self, indices: Iterable[int]) -> str:
        """The text of collapsed indices."""
        text = "".join(map(self.written, indices))
        return text.removeprefix(" ") if self.leading_spaces else text

    def frames_needed(self, text: str) -> int:
        """Least number of frames that can spell a text, one at least; unknown symbols count as others do."""
        return max(frames_needed(self.split(text)), 1)

    def _longest(self, text: str) -> Iterator[str]:
        """The longest symbol that the text begins with, and so on; an unknown character stands for itself."""
        start = 0
        while start < len(text):
            ends = range(min(start + self._most_characters, len(text)), start, -1)
            end = next((end for end in ends if text[start:end] in self._indices), start + 1)
            yield text[start:end]
            start = end


def frames_needed(symbols: Sequence[Hashable]) -> int:
    """Least number of frames that CTC needs: one for each symbol, and a blank between equal neighbors."""
    repeats = sum(first == second for first, second in itertools.pairwise(symbols))
    return len(symbols) + repeats
