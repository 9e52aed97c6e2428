"""From a CTC head's log-probabilities to texts: greedy, or by beam search with a language model and hotwords."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Vocabulary, restore_vocabulary
from speechxfer.decoding.greedy import collapse, hypothesis
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.lexicon import Lexicon, Search, Weights
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError
from speechxfer.extras import need
from speechxfer.heads.fusion import Fusion
from speechxfer.heads.reader import Reader
from speechxfer.language_models import LanguageModel

#: Texts that are followed at once, where there are hotwords and no language model that was tuned with a number.
_BEAMS = 50
#: Most that a hotword adds for each of its letters. It is less than letters cost that nobody said, so that no weight
#: makes a model recite hotwords.
_MOST_PER_LETTER = 1.25


class CTCReader(Reader):
    """Log-probabilities [batch, frames, symbols + 1] to texts.

    Args:
        vocabulary: the symbols.
        normalizer: how a transcript is written before it is spelled.
        frame_rate: hidden states a second, for the times of words.
    """

    kind = "ctc"
    is_frame_synchronous = True
    decoding_options = frozenset({"beams", "hotwords", "word_times"})

    def __init__(self, vocabulary: Vocabulary, normalizer: TextNormalizer, frame_rate: float) -> None:
        self.vocabulary = vocabulary
        self.normalizer = normalizer
        self.frame_rate = frame_rate
        #: The language model that takes part in decoding, if there is one.
        self.fusion: Fusion | None = None
        self._lexicon = self.lexicon(None)

    @classmethod
    def restore(cls, description: Mapping[str, Any], file: Callable[[str], Path]) -> Self:
        """The inverse of `describe` and `write_files`."""
        normalizer = TextNormalizer.restore(description["normalizer"])
        reader = cls(restore_vocabulary(description["vocabulary"]), normalizer, description["frame_rate"])
        if fused := description.get("language_model"):
            reader.fuse(Fusion.restore(fused, file))
        return reader

    def describe(self) -> dict[str, Any]:
        """Vocabulary, normalizer and frame rate."""
        return {
            "kind": self.kind,
            "vocabulary": self.vocabulary.to_dict(),
            "normalizer": self.normalizer.to_dict(),
            "frame_rate": self.frame_rate,
            **({"language_model": self.fusion.describe()} if self.fusion else {}),
        }

    def write_files(self, folder: Path) -> None:
        """The language model."""
        if self.fusion is not None:
            self.fusion.write(folder)

    @property
    def symbol_texts(self) -> list[str]:
        """What each symbol writes; the blank none."""
        return ["", *(self.vocabulary.written(index) for index in range(1, len(self.vocabulary)))]

    def spell(self, text: str) -> list[int | None]:
        """The symbols that write a text, as the head normalizes it; None for a character that it lacks."""
        return [self.vocabulary.index(symbol) for symbol in self.vocabulary.split(self.normalizer(text))]

    def fuse(self, fusion: Fusion | None) -> None:
        """Decode with a language model from now on; None for none.

        Raises:
            ConfigError: the vocabulary writes no spaces, so that there are no words.
        """
        self._lexicon = self.lexicon(None if fusion is None else fusion.model)
        self.fusion = fusion

    def lexicon(self, language_model: LanguageModel | None) -> Lexicon:
        """The words of a language model as the vocabulary spells them."""
        return Lexicon(self.symbol_texts[1:], language_model)

    @property
    def decoding_defaults(self) -> DecodingOptions:
        """With word times, which cost nothing; greedy, but with a language model as many beams as it was tuned with."""
        return DecodingOptions(beams=self.fusion.beams if self.fusion else None, word_times=True)

    def check_options(self, options: DecodingOptions) -> None:
        """As everywhere; hotwords need a beam search and characters that the head has."""
        super().check_options(options)
        if options.hotwords and options.beams == 1:
            raise ConfigError("beams is 1, which is greedy decoding, but hotwords need a beam search; leave one of them out")  # fmt: skip  # noqa: E501
        if options.hotwords and not self._hotwords(options):
            first = options.weighted_hotwords[0][0]
            raise ConfigError(f"hotwords: none can be spelled with the characters of the model ({''.join(self.vocabulary.alphabet)!r:.60}), such as {first!r}; leave them out")  # fmt: skip  # noqa: E501

    def _hotwords(self, options: DecodingOptions) -> dict[str, float]:
        """Words that hotwords consist of, with what they add.

        A word of a phrase has its part of the weight; one that the language model has gets none, for it needs no help.
        Short words add less than their weight. Beside a language model, all share the probability that it gives to a
        word that it lacks; so of a long list, each has to be clearer.
        """
        alphabet = set(self.vocabulary.alphabet)
        found: dict[str, float] = {}
        for phrase, weight in options.weighted_hotwords:
            words = self.normalizer(phrase).split()
            if words and all(set(word) <= alphabet for word in words):
                single = len(words) == 1
                new = [word for word in words if single or word not in self._lexicon]
                found |= {word: min(weight / len(words), _MOST_PER_LETTER * len(word)) for word in new}
        shared = math.log(len(found)) if found and self.fusion else 0.0
        return {word: added - shared for word, added in found.items()}

    def read(self, outputs: NDArray[np.float32], lengths: Sequence[int], options: DecodingOptions) -> list[Hypothesis]:
        """Greedy with one beam: the most likely symbol of every frame. Otherwise by beam search."""
        lexicon = self._lexicon
        if options.hotwords:
            lexicon = lexicon.with_hotwords(tuple(sorted(self._hotwords(options).items())))
        beams = options.beams or (_BEAMS if options.hotwords else 1)
        weights = self.fusion.weights if self.fusion else Weights()
        if beams > 1:
            need("numba", "beam search")
        search = Search(lexicon, weights, beams) if beams > 1 else None
        found = [self.read_frames(row[:length], search) for row, length in zip(outputs, lengths, strict=True)]
        return found if options.word_times else [replace(one, words=()) for one in found]

    def read_frames(self, log_probabilities: NDArray[np.float32], search: Search | None) -> Hypothesis:
        """[frames, symbols + 1] -> text with the times of its most likely path; greedy without a search."""
        if search is None:
            path = log_probabilities.argmax(axis=1)
        else:
            from speechxfer.decoding.ctc_alignment import best_path  # late: both are compiled on first use
            from speechxfer.decoding.ctc_beam import best_text

            path = best_path(log_probabilities, best_text(log_probabilities, search)[0])
        return self._spelled(path.tolist(), log_probabilities[np.arange(len(path)), path].tolist())

    def _spelled(self, path: list[int], log_probabilities: list[float]) -> Hypothesis:
        """The text of a path."""
        symbols, vocabulary = collapse(path, log_probabilities, Vocabulary.BLANK), self.vocabulary
        return hypothesis(
            symbols, [vocabulary.written(symbol.number) for symbol in symbols], 1.0 / self.frame_rate,
            separator=vocabulary.separator, pauses=not vocabulary.leading_spaces,
        )  # fmt: skip
