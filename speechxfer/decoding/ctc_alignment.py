"""Forced alignment: the most likely CTC path that spells a given sequence of symbols (Viterbi), compiled by numba."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def best_path(log_probabilities: NDArray[Any], symbols: Sequence[int]) -> NDArray[np.int64]:
    """The symbol of each frame, 0 for the blank; collapsed, the path is the given symbols.

    Args:
        log_probabilities: [frames, symbols + 1], natural logarithms; 0 is the blank.
        symbols: what is spelled; needs a frame for each, and one between equal neighbors.
    """
    states = np.zeros(2 * len(symbols) + 1, dtype=np.int64)
    states[1::2] = symbols
    found: NDArray[np.int64] = _path(np.asarray(log_probabilities, dtype=np.float64), states)
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _path(scores: Any, states: Any) -> Any:
    """[frames] the symbol of each frame; `states` are the symbols with blanks before, between and after them."""
    frames, size = scores.shape[0], states.shape[0]
    best, steps = np.full(size, -np.inf), np.zeros((frames, size), np.int8)
    path = np.zeros(frames, np.int64)
    if frames == 0:
        return path
    for state in range(min(2, size)):
        best[state] = scores[0, states[state]]
    for frame in range(1, frames):
        # From above, so that those of the frame before are still there.
        for state in range(size - 1, -1, -1):
            step, value = 0, best[state]
            if state > 0 and best[state - 1] > value:
                step, value = 1, best[state - 1]
            skips = state > 1 and states[state] != 0 and states[state] != states[state - 2]
            if skips and best[state - 2] > value:
                step, value = 2, best[state - 2]
            best[state], steps[frame, state] = value + scores[frame, states[state]], step
    state = size - 1
    if size > 1 and best[size - 2] > best[size - 1]:
        state = size - 2
    for frame in range(frames - 1, -1, -1):
        path[frame] = states[state]
        state -= steps[frame, state]
    return path
