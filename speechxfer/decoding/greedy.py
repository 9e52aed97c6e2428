"""The most likely label of each frame, read as CTC means it: collapse repeats first, then drop blanks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from speechxfer.decoding.hypothesis import Hypothesis, Word

#: No word holds a longer pause between two of its symbols.
_PAUSE_S = 0.8


@dataclass(frozen=True, slots=True)
class Symbol:
    """A written symbol: the frames [start, end) it was read from and its log-probability a frame."""

    number: int
    start: int
    end: int
    log_probability: float


def collapse(path: Sequence[int], log_probabilities: Sequence[float], blank: int) -> list[Symbol]:
    """One label a frame, each with its log-probability -> the symbols they spell ("HELLO" keeps both Ls)."""
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
        separator: what stands between words in the text; empty for a vocabulary that has no space.
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
