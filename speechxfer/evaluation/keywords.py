"""Recognition of keywords, and of words that are rare in the training text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from speechxfer.data import textfiles
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.metrics import Pair

#: Most occurrences of a word in the training text, and the name of that group.
_SEEN = ((0, "never"), (2, "1 or 2 times"), (9, "3 to 9 times"), (99, "10 to 99 times"))
_OFTEN = "100 times or more"


@dataclass(frozen=True)
class KeywordScore:
    """Occurrences of a keyword or phrase in references (said), in hypotheses (written), and aligned in both (right)."""

    keyword: str
    said: int
    written: int
    right: int

    @property
    def recall(self) -> float | None:
        """Right over said; None if it is never said."""
        return self.right / self.said if self.said else None

    @property
    def precision(self) -> float | None:
        """Right over written; None if it is never written."""
        return self.right / self.written if self.written else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "recall": self.recall, "precision": self.precision}

    def row(self) -> tuple[str, str, str, str, str]:
        """A row of a table: keyword, said, recall, written, precision."""
        return self.keyword, str(self.said), _shown(self.recall), str(self.written), _shown(self.precision)


@dataclass(frozen=True)
class WordScore:
    """Words of the references with about the same frequency in the training text, and how many were misrecognized."""

    seen: str
    words: int
    wrong: int

    @property
    def rate(self) -> float | None:
        """Fraction that was substituted or deleted; None if there is no such word."""
        return self.wrong / self.words if self.words else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "rate": self.rate}

    def row(self) -> tuple[str, str, str, str]:
        """Of a table: how often seen, words, wrong, rate."""
        return self.seen, str(self.words), str(self.wrong), _shown(self.rate)


def read_keywords(path: Path, normalizer: TextNormalizer) -> list[str]:
    """Keywords and phrases, one a line, as the normalizer writes them; each once.

    Raises:
        DataError: no such file, not UTF-8, none in it, or one of which the normalizer leaves nothing.
    """
    found: dict[str, None] = {}
    for number, line in enumerate(textfiles.lines(path), start=1):
        if not line.strip():
            continue
        keyword = normalizer(line)
        if not keyword:
            raise DataError(f"{path}:{number}: normalizer {normalizer} removes all of {line.strip()[:60]!r}; wanted a word")  # fmt: skip  # noqa: E501
        found[keyword] = None
    if not found:
        raise DataError(f"{path}: holds no keywords; wanted one a line")
    return list(found)


def keyword_scores(pairs: Sequence[Pair], keywords: Iterable[str]) -> list[KeywordScore]:
    """Recall and precision of each keyword, already normalized; a phrase counts only as a whole.

    An occurrence is right if the alignment of the whole utterance matches it: a keyword written in place of another
    word is wrong, even if the keyword was said elsewhere in the utterance.
    """
    return [_keyword_score(pairs, keyword) for keyword in keywords]


def word_scores(pairs: Sequence[Pair], training_texts: Iterable[str], normalizer: TextNormalizer) -> list[WordScore]:
    """Words of the references by their frequency in the training texts, unseen words first."""
    seen = Counter(word for text in training_texts for word in normalizer(text).split())
    words: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for pair in pairs:
        recognized = pair.matches()
        for place, word in enumerate(pair.reference):
            kind = next((name for most, name in _SEEN if seen[word] <= most), _OFTEN)
            words[kind] += 1
            wrong[kind] += place not in recognized
    return [WordScore(name, words[name], wrong[name]) for name in (*(name for _, name in _SEEN), _OFTEN)]


def _keyword_score(pairs: Sequence[Pair], keyword: str) -> KeywordScore:
    phrase = tuple(keyword.split())
    said = written = right = 0
    for pair in pairs:
        places, elsewhere = _places(pair.reference, phrase), _places(pair.hypothesis, phrase)
        said, written = said + len(places), written + len(elsewhere)
        if places and elsewhere:
            matches = pair.matches()
            right += sum(_same_place(matches, place, len(phrase)) for place in places)
    return KeywordScore(keyword, said, written, right)


def _places(words: tuple[str, ...], phrase: tuple[str, ...]) -> list[int]:
    """Start positions of the phrase; occurrences may overlap."""
    size = len(phrase)
    return [start for start in range(len(words) - size + 1) if words[start : start + size] == phrase]


def _same_place(matches: dict[int, int], place: int, size: int) -> bool:
    """Whether these words of the reference match consecutive words of the hypothesis."""
    begin = matches.get(place)
    return begin is not None and all(matches.get(place + offset) == begin + offset for offset in range(size))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
