"""The words of a language model as a tree of characters, for beam search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
        tree: [nodes, characters + 1] the node after each character; `OUTSIDE` where no word goes on so.
        words: [nodes] the number of the word that ends there; -1 for none.
        model: the arrays of `LanguageModel`.
        beginning: its node at the beginning of a sentence.
        end: the number of the end of a sentence; -1 without a language model.
        outside: the number of a word that it lacks, whose probability is `unknown`.

    Raises:
        ConfigError: there is a language model of words, but no symbol writes a space.
    """

    def __init__(self, written: Sequence[str], model: LanguageModel | None) -> None:
        if model is not None and not any(" " in text for text in written):
            raise ConfigError("the model writes no spaces between words, so a language model of words cannot be used with it")  # fmt: skip  # noqa: E501
        alphabet = sorted(set("".join(written)) - {" "})
        numbers = {" ": 0} | {character: number for number, character in enumerate(alphabet, 1)}
        spelled = [[numbers[character] for character in text] for text in written]
        self.characters = np.array([number for text in spelled for number in text], dtype=np.int64)
        self.starts = np.cumsum([0, 0, *map(len, spelled)])  # the blank writes nothing
        words = [] if model is None else [(word, number) for word, number in model.numbers.items() if word in model]
        self.tree, self.words = _tree(words, numbers)
        self.beginning, self.end, self.outside, self.unknown = 0, -1, -1, 0.0
        none = np.zeros(0, dtype=np.int64)
        self.model = (np.zeros(2, dtype=np.int64), none, none, np.zeros(1), np.zeros(1), np.zeros(1, np.int64))
        if model is not None:
            self.beginning, self.end, self.outside = model.beginning, model.numbers[END], model.numbers[UNKNOWN]
            self.unknown = model.unknown
            self.model = (model.first, model.word, model.node, model.log_probability, model.backoff, model.shorter)


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


def _tree(words: Sequence[tuple[str, int]], numbers: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[nodes, characters + 1] the next node, or outside; [nodes] the word that ends there, or -1."""
    rows, ends = [[OUTSIDE] * len(numbers)], [-1]
    for word, number in words:
        if not all(character in numbers for character in word):
            continue  # it cannot be spelled
        node = 0
        for character in word:
            if rows[node][numbers[character]] == OUTSIDE:
                rows[node][numbers[character]] = len(rows)
                rows.append([OUTSIDE] * len(numbers))
                ends.append(-1)
            node = rows[node][numbers[character]]
        ends[node] = number
    return np.array(rows, dtype=np.int64), np.array(ends, dtype=np.int64)
