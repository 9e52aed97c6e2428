"""From frames of a path to times of words.

Where a pause stands between two words, their times are those of the pause, seen in the level of the sound. Elsewhere
they are those of the first and the last frame of the words, which CTC models place late or early in a way of their own;
by how much is learned from the pauses of the same recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speechxfer.alignment.emissions import Emissions
from speechxfer.alignment.paths import Path
from speechxfer.audio import SAMPLE_RATE
from speechxfer.inference.silence import HOP, runs

_HOP_S = HOP / SAMPLE_RATE
#: A pause holds a silence of so long; shorter ones belong to it, but not very short ones.
_PAUSE_S, _SILENCE_S = 0.15, 0.05
#: A level in dB below that of speech that is silence even where there is no noise at all.
_MOST_RANGE_DB = 60.0
#: How far a model is off, in seconds, before anything is known of it, and how many pauses that counts as.
_START_S, _END_S, _PRIOR = -0.03, 0.0, 5
#: Two words with less between them follow one another without a gap.
_GAP_S = 0.12
_SHORTEST_S = 0.02


@dataclass(frozen=True)
class Times:
    """[words found] the number of each word in the script, its first and last frame, start and end in seconds."""

    word: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]


def word_times(emissions: Emissions, path: Path) -> Times:
    """The times of the words on a path; they rise, and no word is shorter than 20 ms."""
    frames = np.flatnonzero(path.word >= 0)
    word, places = np.unique(path.word[frames], return_index=True)
    first = frames[places]
    last = frames[np.append(places[1:], len(frames)) - 1] if len(word) else first
    start, end = emissions.starts[first], emissions.starts[last] + emissions.frame_s
    pauses = _pauses(emissions, start, end)
    begins, ends = np.array(pauses).reshape(-1, 2).T  # of the pause before each word, and after the last
    start_off, end_off = _offset(ends[:-1] - start, _START_S), _offset(begins[1:] - end, _END_S)
    new_start = np.where(np.isnan(ends[:-1]), start + start_off, ends[:-1])
    new_end = np.where(np.isnan(begins[1:]), end + end_off, begins[1:])
    _join(new_start, new_end, np.isnan(begins[1:-1]))
    return Times(word.astype(np.int64), first, last, *_rising(new_start, new_end, emissions.duration))


def _pauses(emissions: Emissions, start: NDArray[np.float64], end: NDArray[np.float64]) -> list[tuple[float, float]]:
    """From when to when there is a pause before each word and after the last one, in seconds; NaN without one."""
    silent = runs(_silent(emissions.levels))
    befores = np.append(0.0, end - emissions.frame_s)
    afters = np.append(start + emissions.frame_s, emissions.duration)
    stops = np.array([stop for _, stop in silent]) * _HOP_S
    found = []
    for before, after in zip(befores, afters, strict=True):
        at = int(np.searchsorted(stops, before))
        spans = []
        while at < len(silent) and silent[at][0] * _HOP_S < after:
            spans.append((max(silent[at][0] * _HOP_S, before), min(silent[at][1] * _HOP_S, after)))
            at += 1
        found.append(_pause(spans))
    return found


def _pause(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """From the first silence to the end of the last one, whatever noise there is between them."""
    lasting = [span for span in spans if span[1] - span[0] >= _SILENCE_S]
    if not lasting or max(stop - start for start, stop in lasting) < _PAUSE_S:
        return np.nan, np.nan
    return lasting[0][0], lasting[-1][1]


def _silent(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    if not len(levels):
        return np.zeros(0, bool)
    floor, level = np.percentile(levels, (10, 95))
    floor = max(floor, level - _MOST_RANGE_DB)
    silent: NDArray[np.bool_] = levels < floor + (level - floor) / 3
    return silent


def _offset(seen: NDArray[np.float64], otherwise: float) -> float:
    known = seen[~np.isnan(seen)]
    if not len(known):
        return otherwise
    return float((np.median(known) * len(known) + otherwise * _PRIOR) / (len(known) + _PRIOR))


def _join(start: NDArray[np.float64], end: NDArray[np.float64], may_join: NDArray[np.bool_]) -> None:
    """Words that follow one another meet in the middle of what is between them, or of what they share."""
    near = may_join & (start[1:] - end[:-1] < _GAP_S)
    middle = (start[1:] + end[:-1]) / 2
    start[1:][near] = end[:-1][near] = middle[near]


def _rising(start: NDArray[np.float64], end: NDArray[np.float64], duration: float) -> Iterator[NDArray[np.float64]]:
    latest = np.maximum(duration - _SHORTEST_S, 0.0)
    start = np.maximum.accumulate(np.clip(start, 0.0, latest)) if len(start) else start
    end = np.clip(np.maximum(end, start + _SHORTEST_S), 0.0, duration)
    if len(start):
        end[:-1] = np.minimum(end[:-1], np.maximum(start[1:], start[:-1] + 1e-3))
    yield start
    yield end
