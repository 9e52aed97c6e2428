"""Temperature fallback: transcripts that look wrong are decoded again (Radford et al., 2022, section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from speechxfer.decoding.hallucination import is_plausible, is_suspicious, without_loops, without_repeated_ending
from speechxfer.decoding.search import TokenSequence


def with_fallback(
    first: Sequence[TokenSequence],
    retry: Callable[[list[int], float], Sequence[TokenSequence]],
    *,
    temperatures: Sequence[float],
    text: Callable[[TokenSequence], str],
    seconds: Sequence[float],
) -> list[TokenSequence]:
    """For each sequence, itself or the first retry that is not suspicious.

    Where all are suspicious, the first sequence without the repetitions that nobody can have spoken.

    Args:
        first: the first result of each row.
        retry: called with rows and a temperature; returns another sequence for each of these rows.
        temperatures: the temperatures of the retries, in order.
        text: the text of a sequence.
        seconds: the duration of each row's audio.
    """
    best = list(first)

    def suspicious(row: int, item: TokenSequence) -> bool:
        return is_suspicious(item, text(item), seconds[row])

    rows = [row for row, item in enumerate(best) if suspicious(row, item)]
    for temperature in temperatures:
        if not rows:
            break
        for row, item in zip(list(rows), retry(rows, temperature), strict=True):
            if not suspicious(row, item):
                best[row] = item
                rows.remove(row)
    for row in rows:
        if not is_plausible(best[row], text(best[row]), seconds[row]):
            best[row] = without_repeated_ending(without_loops(best[row]))
    return best
