"""Where the tokens of a transcript were said, from what a decoder attends to: dynamic time warping of its
cross-attention, as openai/whisper does (timing.py). The path is compiled by numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: A token attends most to what follows its beginning (measured: scripts/bench/word_times.py).
_LATE_S = 0.06


def token_times(attention: NDArray[np.float32], frame_rate: float) -> list[float]:
    """When each token begins, in seconds, never falling.

    Args:
        attention: how much each token attends to each frame [tokens, frames], above 0.
        frame_rate: frames a second.
    """
    # Each frame is dealt among the tokens, or those that attend to a few frames only would have most of them.
    likeness = attention / np.maximum(attention.sum(axis=0), np.finfo(np.float32).tiny)
    frames = _starts(likeness.astype(np.float64))
    return [max(frame / frame_rate - _LATE_S, 0.0) for frame in frames.tolist()]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _starts(likeness: Any) -> Any:
    """[tokens, frames] -> [tokens] the first frame of each on the best path from the first corner to the last."""
    tokens, frames = likeness.shape
    best = np.full((tokens + 1, frames + 1), -np.inf)
    best[0, 0] = 0.0
    for token in range(1, tokens + 1):
        for frame in range(1, frames + 1):
            before = max(best[token - 1, frame - 1], best[token - 1, frame], best[token, frame - 1])
            best[token, frame] = before + likeness[token - 1, frame - 1]
    starts = np.zeros(tokens, np.int64)
    token, frame = tokens, frames
    while token > 0 and frame > 0:
        starts[token - 1] = frame - 1
        both, up, left = best[token - 1, frame - 1], best[token - 1, frame], best[token, frame - 1]
        if both >= up and both >= left:
            token, frame = token - 1, frame - 1
        elif up >= left:
            token -= 1
        else:
            frame -= 1
    return starts
