"""How well the words are recognised that matter to somebody, or that training has seldom shown."""

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

#: How often training has shown a word: up to which count, and what that is called.
_SEEN = ((0, "never"), (2, "1 or 2 times"), (9, "3 to 9 times"), (99, "10 to 99 times"))
_OFTEN = "100 times or more"


@dataclass(frozen=True)
class KeywordScore:
    """A keyword or phrase: how often it is said, written, and both in the same place."""

    keyword: str
    said: int
    written: int
    right: int

    @property
    def recall(self) -> float | None:
        """Of those said, the share that is written; None where none is said."""
        return self.right / self.said if self.said else None

    @property
    def precision(self) -> float | None:
        """Of those written, the share that is said; None where none is written."""
        return self.right / self.written if self.written else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "recall": self.recall, "precision": self.precision}

    def row(self) -> tuple[str, str, str, str, str]:
        """Of a table: keyword, said, recall, written, precision."""
        return self.keyword, str(self.said), _share(self.recall), str(self.written), _share(self.precision)


@dataclass(frozen=True)
class WordScore:
    """Words of the references that training has shown about equally often, and how many of them were not recognised."""

    seen: str
    words: int
    wrong: int

    @property
    def rate(self) -> float | None:
        """The share that was substituted or deleted; insertions belong to no word. None where there is no word."""
        return self.wrong / self.words if self.words else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "rate": self.rate}

    def row(self) -> tuple[str, str, str, str]:
        """Of a table: how often seen, words, wrong, rate."""
        return self.seen, str(self.words), str(self.wrong), _share(self.rate)


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
            raise DataError(f"{path}:{number}: normalizer {normalizer} leaves nothing of {line.strip()[:60]!r}; wanted a word")  # fmt: skip  # noqa: E501
        found[keyword] = None
    if not found:
        raise DataError(f"{path}: holds no keywords; wanted one a line")
    return list(found)


def keyword_scores(pairs: Sequence[Pair], keywords: Iterable[str]) -> list[KeywordScore]:
    """Recall and precision of each keyword, already normalised; a phrase counts only as a whole.

    Right is what the alignment of the whole utterance puts in the same place on both sides: a name that is written
    where another word was said is not right because the name was said elsewhere.
    """
    return [_keyword_score(pairs, keyword) for keyword in keywords]


def word_scores(pairs: Sequence[Pair], training_texts: Iterable[str], normalizer: TextNormalizer) -> list[WordScore]:
    """Words of the references by how often the training texts hold them, the never seen first."""
    shown = Counter(word for text in training_texts for word in normalizer(text).split())
    words: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for pair in pairs:
        recognised = pair.matches()
        for place, word in enumerate(pair.reference):
            kind = next((name for most, name in _SEEN if shown[word] <= most), _OFTEN)
            words[kind] += 1
            wrong[kind] += place not in recognised
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
    """Where the phrase begins; occurrences may overlap."""
    size = len(phrase)
    return [start for start in range(len(words) - size + 1) if words[start : start + size] == phrase]


def _same_place(matches: dict[int, int], place: int, size: int) -> bool:
    """Whether these words of the reference were recognised one after the other, with nothing between."""
    begin = matches.get(place)
    return begin is not None and all(matches.get(place + offset) == begin + offset for offset in range(size))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
