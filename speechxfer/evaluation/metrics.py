"""Error rates of a corpus, counted by jiwer after a named normaliser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jiwer

from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError


@dataclass(frozen=True)
class ErrorRates:
    """Errors of a whole corpus over its words and characters; never a mean of rates of utterances."""

    wer: float
    cer: float
    words: int
    characters: int
    utterances: int
    substitutions: int
    deletions: int
    insertions: int
    normalizer: str

    @property
    def rank(self) -> tuple[float, float]:
        """What decides between two models; lower is better."""
        return self.wer, self.cer

    @property
    def relative_error(self) -> float:
        """The word error rate: writing nothing has 1."""
        return self.wer

    @property
    def summary(self) -> dict[str, float]:
        """The rates by name."""
        return {"wer": self.wer, "cer": self.cer}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"WER {self.wer:.3f}  CER {self.cer:.3f}  ({self.words} words, {self.utterances} utterances)"


def error_rates(references: Sequence[str], hypotheses: Sequence[str], normalizer: TextNormalizer) -> ErrorRates:
    """Word and character error rates over all pairs.

    What is written for a silent (empty) reference counts as inserted.

    Raises:
        DataError: nothing to compare, different counts, or no reference has a word after normalisation.
    """
    if len(references) != len(hypotheses):
        raise DataError(f"{len(references)} references but {len(hypotheses)} hypotheses; wanted one for each")
    references = [normalizer(text) for text in references]
    hypotheses = [normalizer(text) for text in hypotheses]
    words = jiwer.process_words(references, hypotheses)
    characters = jiwer.process_characters(references, hypotheses)
    num_words = words.hits + words.substitutions + words.deletions
    if not num_words:
        raise DataError(
            f"{len(references)} references hold no word after normaliser {normalizer}; there is nothing to measure"
        )
    return ErrorRates(
        wer=words.wer,
        cer=characters.cer,
        words=num_words,
        characters=characters.hits + characters.substitutions + characters.deletions,
        utterances=len(references),
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        normalizer=str(normalizer),
    )


def wrong_words(reference: str, hypothesis: str, normalizer: TextNormalizer) -> int:
    """Substituted, deleted and inserted words of one pair."""
    counts = jiwer.process_words(normalizer(reference), normalizer(hypothesis))
    return counts.substitutions + counts.deletions + counts.insertions
