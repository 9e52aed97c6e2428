"""Where a text is best broken: the cost of a break, and the cheapest breaks by dynamic programming."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from speechxfer.inference.subtitles.pieces import Piece

_SENTENCE_END = frozenset(".?!…。！？؟।॥։።")  # noqa: RUF001
_CLAUSE_END = frozenset(",;:—–،؛、，；：")  # noqa: RUF001
_CLOSING = "\"'”’»›)]}」』）】》"  # noqa: RUF001
_OPENING = "\"'“‘«‹([{「『（【《—–-"  # noqa: RUF001
#: Articles, prepositions and conjunctions of many languages have no more letters.
_SHORT = 3
_PAUSE_S = 0.25


def ends_sentence(piece: Piece) -> bool:
    """Whether the mark that ends a sentence follows."""
    return _mark(piece) in _SENTENCE_END


def ends_clause(piece: Piece) -> bool:
    """Whether a mark of punctuation follows that ends a clause or a sentence."""
    return _mark(piece) in _SENTENCE_END | _CLAUSE_END


def _mark(piece: Piece) -> str:
    return piece.text.rstrip(_CLOSING)[-1:]


def break_cost(before: Piece, after: Piece) -> float:
    """The cost of a break between two pieces: 0 after a sentence, above 1 where words belong together.

    No list of words is needed: after a short word, which is often an article or a preposition, a break costs more, and
    before one less. Two capitalized words may be a name. In Japanese a phrase usually ends with hiragana.
    """
    if ends_sentence(before):
        return 0.0
    if ends_clause(before) or after.text[0] in _OPENING:
        return 0.25
    cost = 1.0
    if not after.is_spaced:
        cost += 0.0 if _is_hiragana(before.text[-1]) and not _is_hiragana(after.text[0]) else 0.5
    elif len(before.text) <= _SHORT and before.text.isalpha():
        cost += 0.75
    elif before.text[0].isupper() and after.text[0].isupper():
        cost += 0.5
    elif len(after.text) <= _SHORT:
        cost -= 0.25
    return cost / 2 if after.start - before.end >= _PAUSE_S else cost


def _is_hiragana(character: str) -> bool:
    return "\u3041" <= character <= "\u309f"


def cheapest(length: int, steps: Callable[[int], Iterable[tuple[int, float]]]) -> list[tuple[int, int]]:
    """The parts (start, stop) of `length` pieces with the least total cost.

    Args:
        length: number of pieces.
        steps: for a start, each possible stop with the cost of this part; at least one.
    """
    best, origin = [0.0] + [math.inf] * length, [0] * (length + 1)
    for start in range(length):
        for stop, cost in steps(start):
            if best[start] + cost < best[stop]:
                best[stop], origin[stop] = best[start] + cost, start
    parts, stop = [], length
    while stop:
        parts.append((origin[stop], stop))
        stop = origin[stop]
    return parts[::-1]
