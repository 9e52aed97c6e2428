"""Temperature fallback: transcripts that look wrong are decoded again (Radford et al., 2022, section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from speechxfer.decoding.hallucination import is_plausible, is_suspicious, without_loops, without_repeated_ending
from speechxfer.decoding.search import TokenSequence


def with_fallback(
    first: Sequence[TokenSequence],
    retry: Callable[[list[int]], Sequence[Sequence[TokenSequence]]],
    retries: int,
    *,
    text: Callable[[TokenSequence], str],
    seconds: Sequence[float],
) -> list[TokenSequence]:
    """For each sequence, itself or the first retry that is not suspicious.

    Where all are suspicious, the first sequence without the repetitions that nobody can have spoken.

    Args:
        first: the first result of each row.
        retry: called with rows; returns other sequences for each of these rows, in the order of their temperatures.
        retries: their number; no more are computed at once than there are rows, or those of one row.
        text: the text of a sequence.
        seconds: the duration of each row's audio.
    """
    best = list(first)

    def suspicious(row: int, item: TokenSequence) -> bool:
        return is_suspicious(item, text(item), seconds[row])

    rows = [row for row, item in enumerate(best) if suspicious(row, item)]
    size = max(1, len(best) // max(1, retries))
    parts = [rows[begin : begin + size] for begin in range(0, len(rows), size)]
    for row, others in zip(rows, [found for part in parts for found in retry(part)], strict=True):
        chosen = next((item for item in others if not suspicious(row, item)), None)
        if chosen is not None:
            best[row] = chosen
        elif not is_plausible(best[row], text(best[row]), seconds[row]):
            best[row] = without_repeated_ending(without_loops(best[row]))
    return best
