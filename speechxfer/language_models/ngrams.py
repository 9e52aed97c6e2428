"""N-grams with their probabilities, and the automaton that scores texts with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import DataError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
_LN10 = math.log(10)

Gram = tuple[str, ...]


@dataclass(frozen=True)
class Ngrams:
    """A backoff model as an ARPA file has it.

    Attributes:
        probabilities: for each order, n-gram -> common logarithm of its last word's probability after the others.
        backoffs: n-gram -> common logarithm of the factor for words that were not seen after it; 0 where it has none.
    """

    probabilities: tuple[Mapping[Gram, float], ...]
    backoffs: Mapping[Gram, float]

    @property
    def order(self) -> int:
        """Words of the longest n-gram."""
        return len(self.probabilities)

    def counts(self) -> list[int]:
        """How many n-grams there are of each order."""
        return [len(grams) for grams in self.probabilities]


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts texts.

    Attributes:
        words: words of the texts, without the ends of sentences.
        sentences: texts.
        unknown: words that the model does not have.
        log_probability: natural logarithm of the probability of all words and ends, unknown words left out.
    """

    words: int
    sentences: int
    unknown: int
    log_probability: float

    @property
    def value(self) -> float:
        """The perplexity of known words and ends of sentences."""
        return math.exp(-self.log_probability / max(self.words - self.unknown + self.sentences, 1))


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """N-grams as an automaton: a node for each n-gram, the root for the empty one.

    Arrays are for compiled code (`decoding/ctc_beam.py`); all logarithms are natural ones.

    Attributes:
        grams: what it was made from.
        words: the words by number.
        first: [nodes + 1] where the successors of each node begin.
        word: [edges] the word of each successor; sorted within a node.
        node: [edges] the node of each successor.
        log_probability: [nodes] of the last word of each n-gram after the others.
        backoff: [nodes] what is added where no successor fits.
        shorter: [nodes] the longest node that the n-gram without its first words is.
    """

    grams: Ngrams
    words: tuple[str, ...]
    first: NDArray[np.int64]
    word: NDArray[np.int64]
    node: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    backoff: NDArray[np.float64]
    shorter: NDArray[np.int64]
    numbers: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(cls, grams: Ngrams) -> LanguageModel:
        """Build the automaton.

        Raises:
            DataError: there is no word, or an n-gram whose beginning is no n-gram.
        """
        words = tuple(sorted({gram[0] for gram in grams.probabilities[0]} | {UNKNOWN, BEGIN, END}))
        if len(words) == 3:
            raise DataError("a language model without a single word; wanted a text with words")
        numbers = {word: number for number, word in enumerate(words)}
        nodes: dict[Gram, int] = {(): 0}
        edges: list[tuple[int, int, int]] = []
        for order in grams.probabilities:
            found = [(_context(nodes, gram), numbers[gram[-1]], gram) for gram in order]
            for context, number, gram in sorted(found, key=lambda one: one[:2]):
                nodes[gram] = len(nodes)
                edges.append((context, number, nodes[gram]))
        edges.sort()
        logs = np.zeros(len(nodes))
        for order in grams.probabilities:
            for gram, value in order.items():
                logs[nodes[gram]] = value * _LN10
        backoff = np.array([grams.backoffs.get(gram, 0.0) * _LN10 for gram in nodes])
        shorter = np.array([_shorter(nodes, gram) for gram in nodes], dtype=np.int64)
        table = np.array(edges, dtype=np.int64)
        first = np.searchsorted(table[:, 0], np.arange(len(nodes) + 1))
        return cls(grams, words, first, table[:, 1].copy(), table[:, 2].copy(), logs, backoff, shorter, numbers)

    def __contains__(self, word: object) -> bool:
        """Whether the model has a word."""
        return word in self.numbers and word not in (BEGIN, END, UNKNOWN)

    @property
    def beginning(self) -> int:
        """The node at the beginning of a sentence."""
        return self.step(0, self.numbers[BEGIN])[1]

    def step(self, node: int, number: int) -> tuple[float, int]:
        """The natural logarithm of a word's probability at a node, and the node after it.

        A word that the model lacks has that of `<unk>`, or that of a word a hundred times rarer than the rarest.
        """
        total = 0.0
        while True:
            begin, end = self.first[node], self.first[node + 1]
            place = begin + int(np.searchsorted(self.word[begin:end], number))
            if place < end and self.word[place] == number:
                return total + float(self.log_probability[self.node[place]]), int(self.node[place])
            if node == 0:
                return total + self.unknown, 0
            total += float(self.backoff[node])
            node = int(self.shorter[node])

    @property
    def unknown(self) -> float:
        """The natural logarithm of the probability of a word that the model lacks."""
        own = self.grams.probabilities[0].get((UNKNOWN,))
        return (own if own is not None else min(self.grams.probabilities[0].values()) - 2.0) * _LN10

    def score(self, words: Sequence[str]) -> list[float]:
        """Natural logarithms of the probabilities of each word of a sentence, and of its end."""
        node, scores = self.beginning, []
        for word in [*words, END]:
            score, node = self.step(node, self.numbers[word] if word in self or word == END else self.numbers[UNKNOWN])
            scores.append(score)
        return scores

    def perplexity(self, texts: Iterable[str]) -> Perplexity:
        """Of texts, each a sentence."""
        words = sentences = unknown = 0
        total = 0.0
        for text in texts:
            sentence = text.split()
            scores = self.score(sentence)
            known = [word in self for word in sentence] + [True]
            total += math.fsum(score for score, is_known in zip(scores, known, strict=True) if is_known)
            words, sentences, unknown = words + len(sentence), sentences + 1, unknown + known.count(False)
        return Perplexity(words, sentences, unknown, total)


def _context(nodes: Mapping[Gram, int], gram: Gram) -> int:
    if gram[:-1] not in nodes:
        raise DataError(f"the language model has the n-gram {' '.join(gram)!r:.80}, but not {' '.join(gram[:-1])!r:.80}, with which it begins; train the model again")  # fmt: skip  # noqa: E501
    return nodes[gram[:-1]]


def _shorter(nodes: Mapping[Gram, int], gram: Gram) -> int:
    places: Any = (nodes[gram[start:]] for start in range(1, len(gram) + 1) if gram[start:] in nodes)
    return next(places, 0)
