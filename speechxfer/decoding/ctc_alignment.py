"""Forced alignment: the most likely CTC path that spells given symbols or words (Viterbi), compiled by numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: States of all frames whose steps are in memory at once; of more, they are computed again from checkpoints.
_MOST_STEPS = 1 << 24
#: How a gap was reached: besides 0 to 2, the states that a step goes forward.
_SKIPPING, _FURTHER = 3, 4


def best_path(log_probabilities: NDArray[Any], symbols: Sequence[int]) -> NDArray[np.int64]:
    """The symbol of each frame, 0 for the blank; collapsed, the path is the given symbols.

    Args:
        log_probabilities: [frames, symbols + 1], natural logarithms; 0 is the blank.
        symbols: what is spelled; needs a frame for each, and one between equal neighbors.
    """
    scores = np.asarray(log_probabilities, dtype=np.float64)
    states = word_states([symbols], 0)
    return states[best_states(scores, states, np.array([0, len(states) - 1]), np.array([-np.inf]), -np.inf)]


def word_states(words: Sequence[Sequence[int]], gap: int) -> NDArray[np.int64]:
    """The columns of the states of words: a gap, and for each word its symbols with blanks between them, and a gap."""
    states = [gap]
    for symbols in words:
        for symbol in symbols:
            states += [symbol, 0]
        states[-1] = gap
    return np.array(states, dtype=np.int64)


def best_states(
    scores: NDArray[np.float64], states: NDArray[np.int64], gaps: NDArray[np.int64], skipping: NDArray[np.float64],
    first_skipped: float,
) -> NDArray[np.int64]:  # fmt: skip
    """[frames] the state of each frame on the best path through words in order, some of which may be skipped.

    Its memory does not grow with the product of frames and states: beyond a limit the steps are computed a second time,
    in parts, from checkpoints of the scores.

    Args:
        scores: [frames, columns] what each frame adds in a state of each column.
        states: as `word_states` gives them; gaps and blanks at even places, symbols at odd ones.
        gaps: [words + 1] the places of the gaps.
        skipping: [words] what it adds to skip each word, from one gap to the next.
        first_skipped: what the first of several words adds, that are skipped one after the other.
    """
    frames, size = len(scores), len(states)
    interval = max(_MOST_STEPS // size, 1)
    # One frame more, in the last gap, so that the last word may be skipped as others are.
    scores = np.concatenate([scores, np.zeros((1, scores.shape[1]))])
    best = np.full(size, -np.inf)
    steps = np.zeros((min(interval, frames + 1), size), np.int8)
    checkpoints = []
    for start in range(0, frames + 1, interval):
        checkpoints.append(best.copy())
        _forward(scores[start : start + interval], states, gaps, skipping, first_skipped, best, steps, start == 0)
    path = np.zeros(frames + 1, np.int64)
    state = size - 1
    for number in reversed(range(len(checkpoints))):
        part = slice(number * interval, (number + 1) * interval)
        if number < len(checkpoints) - 1:
            _forward(scores[part], states, gaps, skipping, first_skipped, checkpoints[number], steps, number == 0)
        state = _backward(steps, gaps, path[part], state)
    return path[:frames]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _forward(
    scores: Any, states: Any, gaps: Any, skipping: Any, first_skipped: float, best: Any, steps: Any, is_first: bool
) -> None:
    """Bring `best`, the scores of the states, from before some frames to after them, and note the steps."""
    size, words = states.shape[0], gaps.shape[0] - 1
    skipped = np.full(words + 1, -np.inf)
    for frame in range(scores.shape[0]):
        beginning = is_first and frame == 0
        # The best path to each gap that skips the word before it, and whether it skips the one before that, too.
        for word in range(1, words + 1):
            begun = best[gaps[word - 1]] if not (beginning and word == 1) else 0.0
            further = skipped[word - 1] > begun + first_skipped
            skipped[word] = skipping[word - 1] + (skipped[word - 1] if further else begun + first_skipped)
            steps[frame, gaps[word]] = _FURTHER if further else 0
        word = words
        # From above, so that those of the frame before are still there.
        for state in range(size - 1, -1, -1):
            step, value = 0, best[state]
            if beginning and state == 0:
                value = 0.0
            if state > 0:
                before = 0.0 if beginning and state == 1 else best[state - 1]
                if before > value:
                    step, value = 1, before
            if state % 2 == 1:
                if state > 1 and states[state] != states[state - 2] and best[state - 2] > value:
                    step, value = 2, best[state - 2]
                steps[frame, state] = step
            elif state == gaps[word]:
                if word > 0 and skipped[word] > value:
                    step, value = _SKIPPING, skipped[word]
                steps[frame, state] = step + (steps[frame, state] if word > 0 else 0)
                word -= 1
            else:
                steps[frame, state] = step
            best[state] = value + scores[frame, states[state]]
        skipped[0] = -np.inf


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _backward(steps: Any, gaps: Any, path: Any, state: int) -> int:
    """Fill the path of some frames, backwards from the state of the last of them; returns the state before them."""
    for frame in range(path.shape[0] - 1, -1, -1):
        path[frame] = state
        step = steps[frame, state] % _FURTHER
        if state % 2 == 0 and step == _SKIPPING:
            word = np.searchsorted(gaps, state)
            while steps[frame, gaps[word]] >= _FURTHER:
                word -= 1
            state = gaps[word - 1]
        else:
            state -= step
    return state
