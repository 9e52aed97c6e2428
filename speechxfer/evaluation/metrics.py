"""Error rates of a corpus, counted by jiwer after a named normalizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jiwer

from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits and errors of the words (or characters) of a hypothesis against its reference."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def reference(self) -> int:
        """Words (or characters) of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis(self) -> int:
        """Words (or characters) of the hypothesis."""
        return self.hits + self.substitutions + self.insertions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors over the length of the reference; None if the reference is empty."""
        return self.errors / self.reference if self.reference else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and a hypothesis, normalized and aligned word by word."""

    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    #: jiwer's alignment: spans of equal, substituted, inserted and deleted words.
    chunks: tuple[jiwer.AlignmentChunk, ...]
    words: Counts
    characters: Counts

    @classmethod
    def of(
        cls, reference: Sequence[str], hypothesis: Sequence[str], chunks: Sequence[jiwer.AlignmentChunk],
        characters: Counts,
    ) -> Pair:  # fmt: skip
        """Words are counted from their alignment."""
        return cls(tuple(reference), tuple(hypothesis), tuple(chunks), _counts(chunks), characters)

    def matches(self) -> dict[int, int]:
        """Position in the reference -> position in the hypothesis, of each correct word."""
        return {
            chunk.ref_start_idx + offset: chunk.hyp_start_idx + offset
            for chunk in self.chunks
            if chunk.type == "equal"
            for offset in range(chunk.ref_end_idx - chunk.ref_start_idx)
        }


#: Above this word error rate, characters decide which of two models is better.
HARDLY_A_WORD = 0.9


@dataclass(frozen=True)
class ErrorRates:
    """Error rates of a whole corpus: errors over words and characters, not a mean over utterances.

    An empty reference has no words, and what is written for it counts as insertions.
    """

    wer: float
    cer: float
    #: Match error rate: errors over the length of the alignment, insertions included; at most 1.
    mer: float
    #: Word information lost (Morris, Maier & Green, 2004).
    wil: float
    words: int
    characters: int
    utterances: int
    #: Utterances with an empty reference.
    silent: int
    hits: int
    substitutions: int
    deletions: int
    insertions: int
    character_hits: int
    character_substitutions: int
    character_deletions: int
    character_insertions: int
    normalizer: str

    @property
    def rank(self) -> tuple[float, float]:
        """The sort key of models, lower is better: the WER, or the CER while the WER is above `HARDLY_A_WORD`.

        A CTC head learns letters long before words; until then the few correct words are noise.
        """
        return min(self.wer, HARDLY_A_WORD), self.cer

    @property
    def relative_error(self) -> float:
        """The error relative to that of an empty hypothesis, which is 1: the WER."""
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

    Raises:
        DataError: no pairs, different counts, or no reference has a word after normalization.
    """
    return rates_of(align(references, hypotheses, normalizer), normalizer)


def align(references: Sequence[str], hypotheses: Sequence[str], normalizer: TextNormalizer) -> list[Pair]:
    """Normalize and align references and hypotheses.

    Raises:
        DataError: different counts, no pairs, or no reference has a word after normalization.
    """
    if len(references) != len(hypotheses):
        raise DataError(f"{len(references)} references but {len(hypotheses)} hypotheses; wanted one for each")
    wanted, written = ([normalizer(text) for text in texts] for texts in (references, hypotheses))
    if not any(wanted):
        raise DataError(_empty_references(references, normalizer))
    words, characters = jiwer.process_words(wanted, written), jiwer.process_characters(wanted, written)
    return [
        Pair.of(reference, hypothesis, chunks, _counts(character_chunks))
        for reference, hypothesis, chunks, character_chunks in zip(
            words.references, words.hypotheses, words.alignments, characters.alignments, strict=True
        )
    ]


def rates_of(pairs: Sequence[Pair], normalizer: TextNormalizer | str) -> ErrorRates:
    """Error rates of aligned pairs, of which at least one reference is not empty."""
    words, characters = total(pair.words for pair in pairs), total(pair.characters for pair in pairs)
    preserved = words.hits / words.reference * (words.hits / words.hypothesis) if words.hypothesis else 0.0
    return ErrorRates(
        wer=words.errors / words.reference,
        cer=characters.errors / characters.reference,
        mer=words.errors / (words.hits + words.errors),
        wil=1.0 - preserved,
        words=words.reference,
        characters=characters.reference,
        utterances=len(pairs),
        silent=sum(not pair.reference for pair in pairs),
        hits=words.hits,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        character_hits=characters.hits,
        character_substitutions=characters.substitutions,
        character_deletions=characters.deletions,
        character_insertions=characters.insertions,
        normalizer=str(normalizer),
    )


def damage(texts: Iterable[str | None], normalizer: TextNormalizer) -> str | None:
    """A warning if the normalizer removes combining marks that the texts' script needs; otherwise None."""
    damaged = [word for text in texts if (word := normalizer.damaged(text or ""))]
    if not damaged:
        return None
    return (
        f"normalizer {normalizer} removes marks from {len(damaged)} references: {damaged[0]!r} becomes "
        f"{normalizer(damaged[0])!r}, so errors in them are not counted; use basic for this script"
    )


def total(counts: Iterable[Counts]) -> Counts:
    """Their sum."""
    return sum(counts, start=Counts())


def _counts(chunks: Iterable[jiwer.AlignmentChunk]) -> Counts:
    sizes = {"equal": 0, "substitute": 0, "delete": 0, "insert": 0}
    for chunk in chunks:
        sizes[chunk.type] += max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
    return Counts(sizes["equal"], sizes["substitute"], sizes["delete"], sizes["insert"])


def _empty_references(references: Sequence[str], normalizer: TextNormalizer) -> str:
    problem = f"{len(references)} references hold no word after normalizer {normalizer}; there is nothing to measure"
    full = next((text for text in references if text.strip()), None)
    if full is None:
        return problem
    return f"{problem}: it removes all of {full[:60]!r}; choose another normalizer"
