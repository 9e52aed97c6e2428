"""Greedy CTC decoding: the most likely label of each frame; repeats are collapsed first, then blanks are dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from speechxfer.decoding.hypothesis import Hypothesis, Word

#: A longer pause between two symbols ends a word.
_PAUSE_S = 0.8


@dataclass(frozen=True, slots=True)
class Symbol:
    """A decoded symbol, its frames [start, end), and its mean log-probability per frame."""

    number: int
    start: int
    end: int
    log_probability: float


def collapse(path: Sequence[int], log_probabilities: Sequence[float], blank: int) -> list[Symbol]:
    """One label per frame, each with its log-probability -> the symbols that they spell ("HELLO" keeps both Ls)."""
    symbols: list[Symbol] = []
    start = 0
    for end in range(1, len(path) + 1):
        if end < len(path) and path[end] == path[start]:
            continue
        if path[start] != blank:
            mean = sum(log_probabilities[start:end]) / (end - start)
            symbols.append(Symbol(path[start], start, end, mean))
        start = end
    return symbols


def hypothesis(
    symbols: Sequence[Symbol], characters: Sequence[str], frame_s: float, *, separator: str = " "
) -> Hypothesis:
    """Symbols with their characters -> text with word times in seconds.

    A word ends at a space, and at a pause of 0.8 s: over silence a model sometimes writes no space. A confidence is the
    geometric mean of the probabilities of the symbols' frames.

    Args:
        frame_s: seconds of one frame.
        separator: the text between two words; empty for a vocabulary without a space.
    """
    words: list[Word] = []
    current: list[tuple[Symbol, str]] = []

    def finish() -> None:
        if current:
            text = "".join(character for _, character in current)
            first, last = current[0][0], current[-1][0]
            words.append(Word(text, first.start * frame_s, last.end * frame_s, _confidence([s for s, _ in current])))
            current.clear()

    for symbol, character in zip(symbols, characters, strict=True):
        if current and (symbol.start - current[-1][0].end) * frame_s >= _PAUSE_S:
            finish()
        if character.isspace():
            finish()
        else:
            current.append((symbol, character))
    finish()
    text = separator.join(word.text for word in words)
    return Hypothesis(text, tuple(words), _confidence(symbols) if symbols else None)


def _confidence(symbols: Sequence[Symbol]) -> float:
    return math.exp(sum(symbol.log_probability for symbol in symbols) / len(symbols))
