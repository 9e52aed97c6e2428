"""CTC prefix beam search (Hannun et al., 2014) with an n-gram language model of words, compiled by numba.

A beam is a text so far; its probability is the sum over all paths that spell it. The language model counts when a word
ends. A word that it lacks costs extra for each character, from where no known word goes on so, but is never forbidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from speechxfer.decoding.lexicon import Search

#: Symbols that are this much less likely than the most likely one of a frame (natural logarithm) begin no new beam.
_SYMBOL_RANGE = 16.0
#: Texts that are this much less likely than the most likely one are not followed.
_BEAM_RANGE = 24.0
#: A summand that is this much smaller changes no digit of a sum.
_NEGLIGIBLE = 40.0
#: Compiles what allocates no memory. It counts no references to arrays, which took two thirds of the time: they belong
#: to the caller, which runs longer.
_borrowing: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(cache=True, nogil=True, _nrt=False)
#: Columns of the table of texts: the text that each extends, its last symbol, its place in the lexicon's tree, the
#: letters of its last word, its node of the language model.
_PARENT, _SYMBOL, _PLACE, _LETTERS, _NODE = range(5)


def best_text(log_probabilities: NDArray[np.float32], search: Search) -> tuple[list[int], float]:
    """The symbols of the most likely text, and the natural logarithm of its score.

    Args:
        log_probabilities: [frames, symbols + 1], natural logarithms; 0 is the blank.
        search: with or without a language model.
    """
    if len(log_probabilities) == 0:
        return [], 0.0
    lexicon, weights = search.lexicon, search.weights
    has_model = lexicon.end >= 0
    scale = [weights.language_model, weights.word, weights.unknown] if has_model else [0.0] * 3
    words = (
        lexicon.starts, lexicon.characters, lexicon.tree, lexicon.model,
        np.array([lexicon.beginning, lexicon.end, lexicon.outside]), lexicon.unknown, np.array(scale),
    )  # fmt: skip
    symbols, score = _search(np.ascontiguousarray(log_probabilities, dtype=np.float64), words, search.beams)
    return symbols[::-1].tolist(), float(score)


@_borrowing
def _plus(one: float, other: float) -> float:
    """The logarithm of a sum."""
    if one < other:
        one, other = other, one
    if other == -np.inf or other < one - _NEGLIGIBLE:
        return one
    return one + math.log1p(math.exp(other - one))


@_borrowing
def _step(model: Any, unknown: float, node: int, number: int) -> tuple[float, int]:
    """As `LanguageModel.step`."""
    first, word, following, log_probability, backoff, shorter = model
    total = 0.0
    while True:
        low, high = first[node], first[node + 1]
        while low < high:
            middle = (low + high) // 2
            if word[middle] < number:
                low = middle + 1
            else:
                high = middle
        if low < first[node + 1] and word[low] == number:
            return total + log_probability[following[low]], following[low]
        if node == 0:
            return total + unknown, 0
        total += backoff[node]
        node = shorter[node]


@_borrowing
def _child(tree: Any, node: int, character: int) -> int:
    """The node after a character; -1 where no word goes on so."""
    first, following, children, _, _, _ = tree
    for edge in range(first[node], first[node + 1]):
        if following[edge] == character:
            return int(children[edge])
    return -1


@_borrowing
def _ended(place: int, letters: int, node: int, words: Any) -> tuple[float, int]:
    """What a word that ends adds to the score, and the node of the language model after it."""
    _, _, (_, _, _, ends, hot, credit), model, (_, end, outside), unknown, scale = words
    if letters == 0:
        return 0.0, node
    if end < 0:
        return (hot[place] - credit[place] if place >= 0 else 0.0), node
    number = ends[place] if place >= 0 else -1
    extra = letters * scale[2] if number < 0 and place >= 0 else 0.0  # outside the tree, it was added before
    score, after = _step(model, unknown, node, number if number >= 0 else outside)
    if place >= 0:
        extra += hot[place] - credit[place]
    return scale[0] * score + scale[1] + extra, after


@_borrowing
def _extend(text: Any, symbol: int, words: Any, extended: Any) -> float:
    """Write the row of a text that a symbol extends, but for its parent; what the symbol adds to the score."""
    starts, characters, tree, _, _, _, scale = words
    added, place, letters, node = 0.0, text[_PLACE], text[_LETTERS], text[_NODE]
    for index in range(starts[symbol], starts[symbol + 1]):
        character = characters[index]
        if character == 0:
            score, node = _ended(place, letters, node, words)
            added, place, letters = added + score, 0, 0
            continue
        letters += 1
        if place < 0:
            added += scale[2]
            continue
        before, place = place, _child(tree, place, character)
        added += tree[5][place] if place >= 0 else letters * scale[2]
        added -= tree[5][before]
    extended[_SYMBOL], extended[_PLACE], extended[_LETTERS], extended[_NODE] = symbol, place, letters, node
    return added


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _most(words: Any) -> Any:
    """[symbols + 1] the most that a symbol can add to a score, if what words cost is not positive."""
    starts, characters, (first, _, children, _, hot, credit), _, _, _, scale = words
    step = 0.0
    for node in range(len(hot)):
        for edge in range(first[node], first[node + 1]):
            step = max(step, credit[children[edge]] - credit[node])
    end = max(scale[1], 0.0) + hot.max()
    most = np.zeros(len(starts) - 1)
    for symbol in range(len(most)):
        for index in range(starts[symbol], starts[symbol + 1]):
            most[symbol] += end if characters[index] == 0 else step
    return most


@_borrowing
def _slot(keys: Any, key: int) -> int:
    """The slot of a key in a table of open addresses, or the free slot for it."""
    slot = (key * 0x9E3779B97F4A7C1) & (len(keys) - 1)
    while keys[slot] != -1 and keys[slot] != key:
        slot = (slot + 1) & (len(keys) - 1)
    return slot


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _search(scores: Any, words: Any, beams: int) -> Any:
    """[frames, symbols + 1] -> the symbols of the best text from the last to the first, and its score."""
    frames, symbols = scores.shape
    texts, bonuses = np.zeros((frames * beams + 1, 5), np.int64), np.zeros(frames * beams + 1)
    texts[0, _NODE] = words[4][0]
    size = 2
    while size < 2 * len(texts):
        size *= 2
    keys, children = np.full(size, -1, np.int64), np.zeros(size, np.int64)
    table = (texts, bonuses, keys, children, np.full(len(texts), -1, np.int64))
    written, most = 1, _most(words)
    # Beams are texts with the log-probabilities of their paths that end with a blank, with a symbol, and of all paths.
    beam, blank, other, total = np.zeros(1, np.int64), np.zeros(1), np.full(1, -np.inf), np.zeros(1)
    # A candidate is a text that is known, or a new one, which is written down if it is kept: its number or -1, its row,
    # what it adds, the logarithms as of a beam, and its score.
    room = beams * symbols
    found = (
        np.empty(room, np.int64), np.empty((room, 5), np.int64), np.empty(room), np.empty(room), np.empty(room),
        np.empty(room), np.empty(room),
    )  # fmt: skip
    known, new, bonus, ending_blank, ending_other, ending, score = found
    for frame in range(frames):
        row = scores[frame]
        likely = np.flatnonzero(row[1:] > row.max() - _SYMBOL_RANGE) + 1
        likely = likely[np.argsort(-(row + most)[likely], kind="mergesort")]
        _stay(row, beam, blank, total, other, table, found)
        best = np.full(beams, -np.inf)
        best[beams - len(beam) :] = np.sort(score[: len(beam)])
        count, least = _grow(row, likely, most, beam, blank, total, table, found, words, best)
        table[4][beam] = -1
        kept = np.flatnonzero(score[:count] >= max(least, score[:count].max() - _BEAM_RANGE))
        kept = kept[np.argsort(-score[kept], kind="mergesort")][:beams]
        for index in kept:
            if known[index] < 0:
                key = new[index, _PARENT] * symbols + new[index, _SYMBOL]
                slot = _slot(keys, key)
                keys[slot], children[slot], known[index] = key, written, written
                texts[written], bonuses[written] = new[index], bonus[index]
                written += 1
        beam, blank, other, total = known[kept], ending_blank[kept], ending_other[kept], ending[kept]
    return _best(beam, total, texts, bonuses, words)


@_borrowing
def _stay(row: Any, beam: Any, blank: Any, total: Any, other: Any, table: Any, found: Any) -> None:
    """The beams themselves are the first candidates: after a blank, their last symbol again, or from a beam before.

    What arrives from a beam that is one symbol shorter counts however little it is, so that sums are whole.
    """
    texts, bonuses, _, _, where = table
    known, _, bonus, ending_blank, ending_other, ending, score = found
    for index in range(len(beam)):
        where[beam[index]] = index
    for index in range(len(beam)):
        text = beam[index]
        known[index], bonus[index] = text, bonuses[text]
        ending_blank[index], ending_other[index] = total[index] + row[0], -np.inf
        if text:
            parent, symbol = texts[text, _PARENT], texts[text, _SYMBOL]
            arrived = _arrived(parent, symbol, where[parent], blank, total, texts) if where[parent] >= 0 else -np.inf
            ending_other[index] = _plus(other[index], arrived) + row[symbol]
        ending[index] = _plus(ending_blank[index], ending_other[index])
        score[index] = ending[index] + bonus[index]


@_borrowing
def _arrived(text: int, symbol: int, index: int, blank: Any, total: Any, texts: Any) -> float:
    """The paths of a beam that a symbol extends: its last one again is another one only after a blank."""
    return float(blank[index] if text and symbol == texts[text, _SYMBOL] else total[index])


@_borrowing
def _enter(best: Any, score: float) -> None:
    """Put a score among the best ones, which rise, in place of the first."""
    place = 0
    while place + 1 < len(best) and best[place + 1] < score:
        best[place] = best[place + 1]
        place += 1
    best[place] = score


@_borrowing
def _grow(
    row: Any, likely: Any, most: Any, beam: Any, blank: Any, total: Any, table: Any, found: Any, words: Any, best: Any
) -> tuple[int, float]:
    """Extend all beams by all likely symbols; how many candidates there are then, and the score that is kept at least.

    `best` holds the scores of as many candidates as there may be beams, rising; the worst of them is the first.
    """
    texts, bonuses, keys, children, where = table
    known, new, bonus, ending_blank, ending_other, ending, scores = found
    count = len(beam)
    least = max(best[-1] - _BEAM_RANGE, best[0])
    for index in range(len(beam)):
        text = beam[index]
        all_paths = total[index]
        for symbol in likely:
            if all_paths + row[symbol] + bonuses[text] + most[symbol] < least:
                break  # nor can the symbols after it be kept
            arrived = _arrived(text, symbol, index, blank, total, texts) + row[symbol]
            if arrived == -np.inf or arrived + bonuses[text] + most[symbol] < least:
                continue
            slot = _slot(keys, text * len(row) + symbol)
            child = children[slot] if keys[slot] != -1 else -1
            if child >= 0 and where[child] >= 0:
                continue  # it is a beam, which has got this already
            if child >= 0:
                bonus[count] = bonuses[child]
            else:
                bonus[count] = bonuses[text] + _extend(texts[text], symbol, words, new[count])
                new[count, _PARENT] = text
            score = arrived + bonus[count]
            if score < least:
                continue
            known[count], ending_blank[count], ending_other[count] = child, -np.inf, arrived
            ending[count], scores[count] = arrived, score
            count += 1
            _enter(best, score)
            least = max(best[-1] - _BEAM_RANGE, best[0])
    return count, least


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _best(beam: Any, total: Any, texts: Any, bonuses: Any, words: Any) -> Any:
    """The symbols of the best text from the last to the first, with its score, the end of the sentence included."""
    _, _, _, model, (_, end, _), unknown, scale = words
    best, score = 0, -np.inf
    for index in range(len(beam)):
        text = beam[index]
        added, node = _ended(texts[text, _PLACE], texts[text, _LETTERS], texts[text, _NODE], words)
        if end >= 0:
            added += scale[0] * _step(model, unknown, node, end)[0]
        final = total[index] + bonuses[text] + added
        if final > score:
            best, score = text, final
    symbols = []
    while best:
        symbols.append(texts[best, _SYMBOL])
        best = texts[best, _PARENT]
    return np.array(symbols, dtype=np.int64), score
