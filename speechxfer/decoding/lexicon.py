"""The words of a language model as a tree of characters, for beam search."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import ConfigError
from speechxfer.language_models import END, UNKNOWN, LanguageModel

#: The place of a word, in the tree of characters, that begins as none in it.
OUTSIDE = -1


@dataclass(frozen=True)
class Weights:
    """How a language model counts beside the acoustic model.

    Attributes:
        language_model: what logarithms of its probabilities are multiplied by.
        word: what each word adds, in natural logarithms; above 0 for more words.
        unknown: what each character adds of a word that the language model lacks, beside its probability of such a
            word. So two unknown words cost as much as both written as one.
    """

    language_model: float = 0.5
    word: float = 1.0
    unknown: float = -1.0


class Lexicon:
    """The words of a language model as a tree of characters, and the characters of a CTC head's symbols.

    Args:
        written: what each symbol after the blank writes; a space ends a word, wherever it stands.
        model: the language model; without one, texts are judged by the acoustic model alone.

    Attributes:
        characters: the characters of all symbols; 0 is the space.
        starts: [symbols + 2] where those of each symbol begin, the blank's first.
        tree: its nodes as arrays, for compiled code.
        model: the arrays of `LanguageModel`.
        beginning: its node at the beginning of a sentence.
        end: the number of the end of a sentence; -1 without a language model.
        outside: the number of a word that it lacks, whose probability is `unknown`.

    Raises:
        ConfigError: there is a language model of words, but no symbol writes a space, or none of its words can be
            spelled.
    """

    def __init__(self, written: Sequence[str], model: LanguageModel | None) -> None:
        if model is not None and not any(" " in text for text in written):
            raise ConfigError("the model writes no spaces between words, so a language model of words cannot be used with it")  # fmt: skip  # noqa: E501
        alphabet = sorted(set("".join(written)) - {" "})
        self._numbers = {" ": 0} | {character: number for number, character in enumerate(alphabet, 1)}
        spelled = [[self._numbers[character] for character in text] for text in written]
        self.characters = np.array([number for text in spelled for number in text], dtype=np.int64)
        self.starts = np.cumsum([0, 0, *map(len, spelled)])  # the blank writes nothing
        self.beginning, self.end, self.outside, self.unknown = 0, -1, -1, 0.0
        none = np.zeros(0, dtype=np.int64)
        self.model = (np.zeros(2, dtype=np.int64), none, none, np.zeros(1), np.zeros(1), np.zeros(1, np.int64))
        self._words: dict[str, int] = {}
        if model is not None:
            self.beginning, self.end, self.outside = model.beginning, model.numbers[END], model.numbers[UNKNOWN]
            self.unknown = model.unknown
            self.model = (model.first, model.word, model.node, model.log_probability, model.backoff, model.shorter)
            self._words = {word: number for word, number in model.numbers.items() if word in model}
        self.tree = _Tree(self._numbers, self._words, {}).arrays()
        if self._words and len(self.tree[0]) == 2:  # there is only the root
            raise ConfigError(f"none of the {len(self._words)} words of the language model, such as {next(iter(self._words))!r:.40}, can be spelled with the characters of the model ({''.join(alphabet)!r:.60}); train it on text as the model writes it (speechxfer lm train --model)")  # fmt: skip  # noqa: E501

    def __contains__(self, word: object) -> bool:
        """Whether the language model has a word."""
        return word in self._words

    @functools.lru_cache(maxsize=8)  # noqa: B019  # several batches of a call have the same; a lexicon is small
    def with_hotwords(self, hotwords: tuple[tuple[str, float], ...]) -> Lexicon:
        """The lexicon with words that cost nothing although the language model lacks them, each with what it adds."""
        found = copy.copy(self)
        found.tree = _Tree(self._numbers, self._words, dict(hotwords)).arrays(self.outside)
        return found


class _Tree:
    """Words by their characters.

    Args:
        numbers: of the characters; a word with another one cannot be spelled, and is left out.
        words: with their numbers in the language model.
        hotwords: with what they add to a score.
    """

    def __init__(self, numbers: Mapping[str, int], words: Mapping[str, int], hotwords: Mapping[str, float]) -> None:
        self._numbers = numbers
        self._children: dict[tuple[int, int], int] = {}
        self._size = 1
        self._ends = {node: number for word, number in words.items() if (node := self._add(word)) is not None}
        self._hotwords = {word: added for word, added in hotwords.items() if self._add(word) is not None}
        self._added = {self._path(word)[-1]: added for word, added in self._hotwords.items()}

    def _add(self, word: str) -> int | None:
        """The node of a word."""
        if not all(character in self._numbers for character in word):
            return None
        node = 0
        for character in word:
            before = self._size
            node = self._children.setdefault((node, self._numbers[character]), before)
            self._size += node == before
        return node

    def _path(self, word: str) -> list[int]:
        """The nodes of a word's beginnings, itself the last."""
        node, found = 0, []
        for character in word:
            node = self._children[node, self._numbers[character]]
            found.append(node)
        return found

    def arrays(self, outside: int = -1) -> tuple[NDArray[Any], ...]:
        """[nodes + 1] where each node's children begin; [edges] their characters, sorted within a node, and nodes;
        [nodes] the number of the word that ends there, or -1; [nodes] what it adds; [nodes] what its beginning adds
        until it ends or goes on otherwise.
        """
        edges = sorted((node, character, child) for (node, character), child in self._children.items())
        table = np.array(edges, dtype=np.int64).reshape(-1, 3)
        first = np.searchsorted(table[:, 0], np.arange(self._size + 1))
        ends, added = np.full(self._size, -1, np.int64), np.zeros(self._size)
        for node, value in self._added.items():
            ends[node], added[node] = outside, value
        for node, number in self._ends.items():
            ends[node] = number
        return first, table[:, 1].copy(), table[:, 2].copy(), ends, added, self._credit()

    def _credit(self) -> NDArray[np.float64]:
        """[nodes] of what a hotword adds, the fraction that is spelled; of several hotwords the most."""
        found = np.zeros(self._size)
        for word, added in self._hotwords.items():
            for place, node in enumerate(self._path(word), 1):
                found[node] = max(found[node], added * place / len(word))
        return found


@dataclass(frozen=True, eq=False)
class Search:
    """A beam search.

    Attributes:
        lexicon: the symbols' characters, and the words of the language model.
        weights: how the language model counts, where there is one.
        beams: texts that are followed at once.
    """

    lexicon: Lexicon
    weights: Weights = field(default_factory=Weights)
    beams: int = 50
