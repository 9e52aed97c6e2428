"""Vocabularies of pieces of words, by the package `tokenizers`."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from speechxfer.data.vocabulary.base import Vocabulary
from speechxfer.errors import CheckpointError, DataError
from speechxfer.records import converted

if TYPE_CHECKING:
    from tokenizers import models

#: A piece occurs at least so often in the text that it was trained on.
_LEAST_COUNT = 2
#: Types of what a model folder holds.
_Merges: Any = list[tuple[str, str]] | None
_Scores: Any = list[float] | None


class Pieces(Vocabulary):
    """Pieces of words (sub-words); the first piece of a word holds the space before it: " the", "se".

    Texts are split by byte-pair encoding (Sennrich et al., 2016) where there are merges, by a unigram language model
    (Kudo, 2018) where there are scores, and into the longest pieces where there are neither. Characters that are no
    piece of their own are unknown.

    Args:
        symbols: the pieces.
        merges: pairs of pieces that become one, the first ones first.
        scores: logarithms of the pieces' probabilities.

    Raises:
        CheckpointError: pieces that occur twice, merges of pieces that are not there, too few or too many scores.
    """

    kind = "pieces"
    units = "pieces of words"

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        merges: Sequence[tuple[str, str]] | None = None,
        scores: Sequence[float] | None = None,
    ) -> None:
        super().__init__(symbols)
        self.merges, self.scores = merges, scores
        merged = {symbol for pair in merges or () for symbol in (*pair, "".join(pair))}
        if not merged <= self._indices.keys() or len(scores or self.symbols) != len(self.symbols):
            raise CheckpointError(
                f"the merges or scores of a CTC vocabulary are not those of its {len(self.symbols)} pieces"
            )
        #: Pieces of several words; without any, words are split one by one.
        self._across_words = any(" " in symbol[1:] for symbol in self.symbols)

    @functools.cached_property
    def _model(self) -> models.BPE | models.Unigram | None:
        """What splits a text; the package is imported late, since none of it is needed to write one."""
        from tokenizers import models

        if self.merges is not None:
            return models.BPE({symbol: index for index, symbol in enumerate(self.symbols)}, list(self.merges))
        return models.Unigram(list(zip(self.symbols, self.scores, strict=True))) if self.scores is not None else None

    @classmethod
    def trained(cls, texts: Iterable[str], size: int) -> Self:
        """By byte-pair encoding of normalized texts; the same texts give the same pieces.

        Args:
            texts: to learn from.
            size: most pieces; there are fewer where no further pair of pieces occurs twice.

        Raises:
            DataError: the texts hold no character at all.
        """
        from tokenizers import Tokenizer, models, trainers

        words = [word for text in texts for word in _words(f" {text}") if word.strip()]
        if not words:
            raise DataError("the training texts hold no characters after normalization; nothing to learn")
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=_LEAST_COUNT, show_progress=False)
        tokenizer.train_from_iterator(words, trainer)
        merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
        return cls._merged(sorted(set().union(*words)), merges, size)

    @classmethod
    def _merged(cls, alphabet: Sequence[str], merges: Iterable[Any], size: int) -> Self:
        """An alphabet and the first merges of a list, up to a number of pieces."""
        symbols, taken = dict.fromkeys(alphabet), []
        for first, second in merges:
            if len(symbols) >= size and first + second not in symbols:
                break
            symbols[first + second] = None
            taken.append((first, second))
        return cls(symbols, merges=taken)

    def shortened(self, size: int) -> Self:
        """What training for fewer pieces gives: byte-pair encoding finds the same merges in the same order."""
        alphabet = [symbol for symbol in self.symbols if len(symbol) == 1]
        return self._merged(alphabet, self.merges or (), size)

    @classmethod
    def restore(cls, description: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        symbols = converted(list[str], description["symbols"], "symbols")
        merges: Any = converted(_Merges, description.get("merges"), "merges")
        return cls(symbols, merges=merges, scores=converted(_Scores, description.get("scores"), "scores"))

    def to_dict(self) -> dict[str, Any]:
        """With merges or scores."""
        found = super().to_dict()
        if self.merges is not None:
            found["merges"] = [list(pair) for pair in self.merges]
        return found if self.scores is None else {**found, "scores": list(self.scores)}

    def split(self, text: str) -> list[str]:
        """The pieces that spell a text, unknown characters among them."""
        symbols: list[str] = []
        for known, run in itertools.groupby(f" {text}" if text else "", self._indices.__contains__):
            characters = "".join(run)
            if not known:
                symbols += characters
                continue
            for part in [characters] if self._across_words else _words(characters):
                symbols += self._longest(part) if self._model is None else [t.value for t in self._model.tokenize(part)]
        return symbols

    def written(self, index: int) -> str:
        """The piece."""
        return self.symbols[index - 1]

    def extended(self, symbols: Iterable[str]) -> Self:
        """With new characters appended in code point order; no longer piece holds them."""
        new = sorted(set(symbols) - set(self.symbols))
        scores = None if self.scores is None else [*self.scores, *[min(self.scores)] * len(new)]
        return type(self)([*self.symbols, *new], merges=self.merges, scores=scores)


def _words(text: str) -> list[str]:
    """Words with the space before them."""
    return re.findall(" [^ ]*|[^ ]+", text)
