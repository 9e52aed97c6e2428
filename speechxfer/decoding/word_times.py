"""The words of a text with their times and confidences, from those of the tokens that spell it."""

from __future__ import annotations

import bisect
import math
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from speechxfer.data.characters import is_unspaced, is_word_character
from speechxfer.decoding.hypothesis import Word

#: The shortest word, where there is room for it.
_SHORTEST_WORD_S = 0.02
#: Kinds of characters of Unicode that a word may begin with where no space stands before it: letters, digits, and
#: quotation marks and brackets that open.
_BEGINNING = ("L", "N", "Ps", "Pi")


def words_of_tokens(
    text: str, ends: Sequence[int], times: Sequence[float], log_probabilities: Sequence[float]
) -> tuple[Word, ...]:
    """The words of a text, with the times of their letters and digits, without punctuation.

    A word lasts until what follows it. Its confidence is the geometric mean of its tokens' probabilities.

    Args:
        text: what the tokens spell.
        ends: the number of its characters up to the end of each token, never falling.
        times: when each token begins, in seconds, and when the last one ends.
        log_probabilities: of each token.
    """
    found = []
    for start, stop in word_spans(text, set(ends)):
        spoken = [place for place in range(start, stop) if is_word_character(text[place])] or [start, stop - 1]
        first = bisect.bisect_right(ends, spoken[0])
        after = bisect.bisect_right(ends, spoken[-1], lo=first) + 1
        mean = math.fsum(log_probabilities[first:after]) / (after - first)
        found.append(Word(text[start:stop], times[first], times[after], math.exp(mean)))
    return tuple(found)


def word_spans(text: str, ends: Collection[int]) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends.

    Spaces divide words. Where a script has none, the ends of tokens do, but for what stands before punctuation.
    """
    bounds = [place for place in range(1, len(text)) if _divides(text, place, ends)]
    pieces = pairwise([0, *bounds, len(text)])
    return [(start, stop) for start, stop in pieces if not text[start:stop].isspace() and start < stop]


def _divides(text: str, place: int, ends: Collection[int]) -> bool:
    """Whether a word or a space begins at a place."""
    before, after = text[place - 1], text[place]
    if before.isspace() or after.isspace():
        return before.isspace() != after.isspace()
    if place not in ends or not (is_unspaced(before) or is_unspaced(after)):
        return False
    return unicodedata.category(after).startswith(_BEGINNING) and unicodedata.category(before) not in ("Ps", "Pi")


def within(words: Iterable[Word], end: float) -> tuple[Word, ...]:
    """Words with the nearest times that are in [0, end], one after the other, and none of them of no length."""
    given = list(words)
    shortest = min(_SHORTEST_WORD_S, end / max(len(given), 1))
    forward, earliest = [], 0.0
    for word in given:
        start = max(word.start, earliest)
        earliest = max(word.end, start + shortest)
        forward.append((start, earliest))
    found, latest = [], end
    for word, (start, stop) in zip(reversed(given), reversed(forward), strict=True):
        last = min(stop, latest)
        latest = min(start, last - shortest)
        found.append(replace(word, start=max(latest, 0.0), end=last))
    return tuple(reversed(found))
