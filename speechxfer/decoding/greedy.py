"""Greedy CTC decoding: the most likely label of each frame; repeats are collapsed first, then blanks are dropped."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from speechxfer.decoding.hypothesis import Hypothesis, Word

#: A longer pause between two symbols ends a word.
_PAUSE_S = 0.8
_SPACES = re.compile(r"\s+")


class Symbol(NamedTuple):
    """A decoded symbol, its frames [start, end), and its mean log-probability per frame."""

    number: int
    start: int
    end: int
    log_probability: float


def collapse(path: Sequence[int], log_probabilities: Sequence[float], blank: int) -> list[Symbol]:
    """One label per frame, each with its log-probability -> the symbols that they spell ("HELLO" keeps both Ls)."""
    changes = (np.flatnonzero(np.diff(path)) + 1).tolist()
    return [
        Symbol(path[start], start, end, sum(log_probabilities[start:end]) / (end - start))
        for start, end in itertools.pairwise([0, *changes, len(path)] if path else [])
        if path[start] != blank
    ]


def hypothesis(
    symbols: Sequence[Symbol], texts: Sequence[str], frame_s: float, *, separator: str = " ", pauses: bool = True
) -> Hypothesis:
    """Symbols with their texts -> text with word times in seconds.

    A word ends at a space, which is a symbol or part of one, and at a pause of 0.8 s: over silence a model sometimes
    writes no space. A confidence is the geometric mean of the probabilities of the symbols' frames.

    Args:
        frame_s: seconds of one frame.
        separator: the text between two words; empty for a vocabulary without a space.
        pauses: whether a pause ends a word; where symbols begin with the space before them, none is left out.
    """
    words: list[Word] = []
    current: list[tuple[Symbol, str]] = []

    def finish() -> None:
        if current:
            text = "".join(part for _, part in current)
            first, last = current[0][0], current[-1][0]
            words.append(Word(text, first.start * frame_s, last.end * frame_s, _confidence([s for s, _ in current])))
            current.clear()

    for symbol, text in zip(symbols, texts, strict=True):
        if pauses and current and (symbol.start - current[-1][0].end) * frame_s >= _PAUSE_S:
            finish()
        for number, (part, written) in enumerate(_parts(symbol, text)):
            if number:
                finish()
            if written:
                current.append((part, written))
    finish()
    text = separator.join(word.text for word in words)
    return Hypothesis(text, tuple(words), _confidence(symbols) if symbols else None)


def _parts(symbol: Symbol, text: str) -> list[tuple[Symbol, str]]:
    """A symbol's text as its spaces divide it; each part has as many of the symbol's frames as it has characters."""
    if not _SPACES.search(text):
        return [(symbol, text)]  # nearly always
    written = _SPACES.split(text)
    total = max(sum(map(len, written)), 1)
    counts = itertools.accumulate(map(len, written), initial=0)
    bounds = [symbol.start + (symbol.end - symbol.start) * count // total for count in counts]
    spans = itertools.pairwise(bounds)
    return [(symbol._replace(start=start, end=end), part) for (start, end), part in zip(spans, written, strict=True)]


def _confidence(symbols: Sequence[Symbol]) -> float:
    return math.exp(sum(symbol.log_probability for symbol in symbols) / len(symbols))
