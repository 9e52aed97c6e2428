"""Further tries for what looks wrong after the first, as Whisper does (Radford et al., 2022, section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from speechxfer.decoding.sanity import can_be_said, is_doubtful, without_echo, without_loops
from speechxfer.decoding.search import Written


def retried(
    first: Sequence[Written],
    retry: Callable[[list[int], float], Sequence[Written]],
    *,
    temperatures: Sequence[float],
    text: Callable[[Written], str],
    seconds: Sequence[float],
) -> list[Written]:
    """For each sequence, itself or the first retry that is not doubtful.

    Where all are doubtful, it is the first sequence without the repetitions that cannot have been said.

    Args:
        first: what was found for each row.
        retry: called with rows and a temperature; answers another sequence for each of these rows.
        temperatures: the temperatures of the retries, in order.
        text: the text of a sequence.
        seconds: how much sound each row has.
    """
    best = list(first)

    def doubtful(row: int, item: Written) -> bool:
        return is_doubtful(item, text(item), seconds[row])

    rows = [row for row, item in enumerate(best) if doubtful(row, item)]
    for temperature in temperatures:
        if not rows:
            break
        for row, item in zip(list(rows), retry(rows, temperature), strict=True):
            if not doubtful(row, item):
                best[row] = item
                rows.remove(row)
    for row in rows:
        if not can_be_said(best[row], text(best[row]), seconds[row]):
            best[row] = without_echo(without_loops(best[row]))
    return best
