"""Places of a long recording where a script fits without doubt, found by what the model recognizes.

Between them, parts can be aligned by themselves (Moreno et al., 1998), so that the work grows with the length of the
recording and not with its square. Candidates are short sequences of characters that occur in both texts, chained as
aligners of genomes do it: the longest sequence of them that goes forward in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Characters of a candidate.
_LENGTH = 7
#: Candidates that occur more often in the script are not used, and most pairs of all.
_MOST_OCCURRENCES, _MOST_PAIRS = 64, 2_000_000
#: An anchor has so many candidates before and after it, within so many characters, that fit as well.
_NEIGHBORS, _REACH, _MOST_SHIFT = 3, 40, 4
_BASE = np.uint64(1_000_003)

Near = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Two equally long arrays of units to a flag for each pair."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text as characters without spaces: [characters] their code points, and of what each one is.

    `unit` is the number of the word in the script, or of the symbol that the model wrote.
    """

    characters: NDArray[np.int64]
    unit: NDArray[np.int64]


def spelled(texts: list[str]) -> Spelled:
    """The characters of units, without spaces."""
    bare = ["".join(text.split()) for text in texts]
    characters = np.array([ord(character) for text in bare for character in text], dtype=np.int64)
    return Spelled(characters, np.repeat(np.arange(len(bare)), [len(text) for text in bare]))


def anchors(recognized: Spelled, script: Spelled, near: Near | None = None) -> NDArray[np.int64]:
    """[anchors, 2] a symbol that was recognized and a word of the script that begins with it, both rising.

    Args:
        recognized: units are symbols.
        script: units are words.
        near: whether symbols and words may belong together by their times. It counts unless that leaves out most of
            what fits, as when subtitles are those of another version of a film.
    """
    first, second = _pairs(_keys(recognized.characters), _keys(script.characters))
    chain = _longest_rising(second)
    if near is not None:
        kept = np.flatnonzero(near(recognized.unit[first], script.unit[second]))
        other = kept[_longest_rising(second[kept])]
        chain = other if 2 * len(other) >= len(chain) else chain
    first, second = _supported(first[chain], second[chain])
    # The first character of a word that stands within the candidate, and follows the word before it.
    places = (first[:, None] + np.arange(1, _LENGTH), second[:, None] + np.arange(1, _LENGTH))
    words = script.unit[places[1]]
    begins = words == script.unit[places[1] - 1] + 1
    begins &= recognized.unit[places[0]] != recognized.unit[places[0] - 1]
    rows = np.flatnonzero(begins.any(axis=1))
    at = begins[rows].argmax(axis=1)
    found = np.stack([recognized.unit[places[0][rows, at]], words[rows, at]], axis=1)
    return _rising(found)


def _rising(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those that are after the ones before them in both columns."""
    kept = np.ones(len(found), dtype=bool)
    for column in (0, 1):
        kept[1:] &= found[1:, column] > np.maximum.accumulate(found[:, column])[:-1]
    return found[kept]


def _keys(characters: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A number for the candidate that begins at each character; equal ones have equal numbers."""
    count = max(len(characters) - _LENGTH + 1, 0)
    keys = np.zeros(count, np.uint64)
    for offset in range(_LENGTH):
        keys = keys * _BASE + characters[offset : offset + count].astype(np.uint64)
    return keys


def _pairs(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of equal keys: rising in the first, and falling in the second where the first are equal."""
    order = np.argsort(second, kind="stable")
    ordered = second[order]
    low, high = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    counts = np.where(high - low <= _MOST_OCCURRENCES, high - low, 0)
    # Of very many the same part on both sides, chosen by what they are.
    part = np.uint64(counts.sum() // _MOST_PAIRS + 1)
    counts = np.where((first >> np.uint64(7)) % part == 0, counts, 0)
    places = np.repeat(np.arange(len(first)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return places, order[np.repeat(high, counts) - 1 - within]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _longest_rising(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the longest strictly rising subsequence (Fredman, 1975)."""
    count = len(values)
    tails, before = np.zeros(count + 1, np.int64), np.full(count, -1, np.int64)
    length = 0
    for place in range(count):
        low, high = 0, length
        while low < high:
            middle = (low + high) // 2
            if values[tails[middle]] < values[place]:
                low = middle + 1
            else:
                high = middle
        before[place] = tails[low - 1] if low > 0 else -1
        tails[low] = place
        length = max(length, low + 1)
    chain = np.zeros(length, np.int64)
    place = tails[length - 1] if length else -1
    for number in range(length - 1, -1, -1):
        chain[number] = place
        place = before[place]
    return chain


def _supported(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of a chain whose neighbors are near, and as far apart in one text as in the other."""
    width = 2 * _NEIGHBORS
    if len(first) <= width:
        return first[:0], second[:0]
    spans = first[width:] - first[:-width], second[width:] - second[:-width]
    kept = (np.maximum(*spans) <= _REACH) & (np.abs(spans[0] - spans[1]) <= _MOST_SHIFT)
    middle = slice(_NEIGHBORS, len(first) - _NEIGHBORS)
    return first[middle][kept], second[middle][kept]
