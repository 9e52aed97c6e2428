"""The most likely path through a script, of whose words some were not said, and between which other things were said.

CTC segmentation (Kürzinger et al., 2020) with a star between words that stands for any sound (Pratap et al., 2023), and
with words that may be skipped; all three at a price, in natural logarithms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.alignment.anchors import Spelled, anchors, spelled
from speechxfer.alignment.emissions import Emissions
from speechxfer.alignment.script import Script
from speechxfer.decoding.ctc_alignment import best_states, word_states


@dataclass(frozen=True)
class Prices:
    """What it costs that recording and script differ, in natural logarithms.

    Attributes:
        star: a frame of sound that no word of the script is, less than the most likely symbol of the frame.
        skip: beginning to skip words.
        symbol: each symbol of a skipped word.
        blank: a blank between the symbols of a word, so that no word lasts through a pause.
    """

    star: float = 2.0
    skip: float = 3.0
    symbol: float = 3.0
    blank: float = 0.05


#: Frames from one anchor that is used to the next, at least: a part is aligned in one go.
_PART_FRAMES = 500
#: Seconds from the middle of a subtitle to its words, at most.
_MOST_LATE_S = 30.0
#: Frames times states of the largest part that is aligned; what is larger has no anchor anywhere, and does not match.
_MOST_CELLS = 10**9


@dataclass(frozen=True)
class Path:
    """Which symbol of which word each frame is.

    Attributes:
        word: [frames] a word of the script; -1 between words.
        symbol: [frames] the place of the symbol in the word; -1 for a blank, inside words and between them.
        cost: [frames] how much less likely it is than the most likely symbol, at least 0.
        star: [frames] whether the frame is sound of which the script has no words.
    """

    word: NDArray[np.int32]
    symbol: NDArray[np.int16]
    cost: NDArray[np.float32]
    star: NDArray[np.bool_]


def find_path(
    emissions: Emissions,
    script: Script,
    written: list[str],
    prices: Prices | None = None,
) -> Path:
    """The most likely path.

    Args:
        emissions: of the recording.
        script: what was said, more or less.
        written: what each symbol writes.
        prices: of differences.
    """
    frames = len(emissions)
    path = Path(
        np.full(frames, -1, np.int32),
        np.full(frames, -1, np.int16),
        np.zeros(frames, np.float32),
        np.zeros(frames, bool),
    )
    aligner = _Aligner(emissions, script, written, prices or Prices(), path)
    for part in _parts(emissions, script, written):
        aligner.align(*part)
    return path


def _parts(emissions: Emissions, script: Script, written: list[str]) -> Iterator[tuple[int, int, int, int]]:
    """Frames from and to, and the words from and to, that belong together."""
    starts, stops = _symbols(emissions.path)
    recognized = spelled([written[number] for number in emissions.path[starts]])
    times = emissions.starts[starts]

    def near(symbols: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.bool_]:
        # A word without a time is near everything: comparisons with NaN are false.
        far: NDArray[np.bool_] = np.abs(times[symbols] - script.shown[words]) > _MOST_LATE_S
        return ~far

    found = anchors(recognized, _script_characters(script, written), near)
    splits = [(0, 0)]
    for symbol, word in found:
        frame = (int(stops[symbol - 1]) + int(starts[symbol])) // 2
        if frame - splits[-1][0] >= _PART_FRAMES:
            splits.append((frame, int(word)))
    splits.append((len(emissions), len(script)))
    for (frame, word), (next_frame, next_word) in itertools.pairwise(splits):
        yield frame, next_frame, word, next_word


def _symbols(path: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each symbol of the most likely path begins and ends, blanks left out."""
    edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
    starts, stops = edges[:-1], edges[1:]
    kept = path[starts] != 0
    return starts[kept], stops[kept]


def _script_characters(script: Script, written: list[str]) -> Spelled:
    return spelled(["".join(written[symbol] for symbol in symbols) for symbols in script.symbols])


class _Aligner:
    """Aligns parts of a recording with parts of a script.

    Columns of its scores are those of the emissions, and two more: that of gaps between words, where there is a blank,
    a space or, at a price, any other sound; and that of words without a known character, which are any sound.
    """

    def __init__(self, emissions: Emissions, script: Script, written: list[str], prices: Prices, path: Path) -> None:
        self._emissions, self._script, self._prices, self._path = emissions, script, prices, path
        columns = emissions.columns
        self._column = {int(symbol): place for place, symbol in enumerate(columns)}
        self._silent = np.array([place for place, symbol in enumerate(columns) if not written[symbol].strip()])
        self._gap, self._star = len(columns), len(columns) + 1

    def align(self, start: int, stop: int, first: int, last: int) -> None:
        """Frames from `start` to `stop`, words from `first` to `last`."""
        if start == stop:
            return
        words = [
            [self._column[symbol] for symbol in symbols] or [self._star] for symbols in self._script.symbols[first:last]
        ]
        states = word_states(words, self._gap)
        lengths = np.array([len(symbols) for symbols in words], dtype=np.int64)
        gaps = np.concatenate([[0], np.cumsum(2 * lengths)])
        scores = self._scores(start, stop)
        if len(scores) * len(states) > _MOST_CELLS:
            self._path.star[start:stop] = scores[:, self._silent].max(axis=1) < -self._prices.star
            return
        skipping: NDArray[np.float64] = -self._prices.symbol * lengths.astype(np.float64)
        found = best_states(scores, states, gaps, skipping, -self._prices.skip)
        self._note(start, first, found, states, gaps, scores)

    def _scores(self, start: int, stop: int) -> NDArray[np.float64]:
        """[frames, columns + 2] logarithms relative to the largest of each frame."""
        rows = self._emissions.rows(start, stop).astype(np.float64) - self._emissions.best[start:stop, None]
        star = np.full(len(rows), -self._prices.star)
        gap = np.maximum(rows[:, self._silent].max(axis=1), star)
        rows[:, 0] -= self._prices.blank
        return np.column_stack([rows, gap, star])

    def _note(
        self, start: int, first: int, found: NDArray[np.int64], states: NDArray[np.int64], gaps: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> None:  # fmt: skip
        part = slice(start, start + len(found))
        word = np.searchsorted(gaps, found, "right") - 1
        is_gap = gaps[word] == found
        inside = found - gaps[word] - 1
        self._path.word[part] = np.where(is_gap, -1, word + first)
        self._path.symbol[part] = np.where(is_gap | (inside % 2 == 1), -1, inside // 2)
        columns = states[found]
        self._path.cost[part] = -scores[np.arange(len(found)), columns] - self._prices.blank * (columns == 0)
        silent = scores[:, self._silent].max(axis=1)
        self._path.star[part] = is_gap & (silent < -self._prices.star)
