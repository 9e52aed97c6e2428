from __future__ import annotations

from collections.abc import Sequence

from speechxfer.decoding.fallback import with_fallback
from speechxfer.decoding.search import TokenSequence

SURE = TokenSequence((1, 2, 3), (-0.1,) * 4, ended=True)
GUESS = TokenSequence((4, 5, 6), (-2.0,) * 4, ended=True)
LOOP = TokenSequence((1, *(7, 8) * 20, 7), (-0.1,) * 42, ended=False)
#: A speaker repeats herself; the model was not certain of the first time, but ended and is certain on the whole.
REPEATED = TokenSequence((1, *(7,) * 9, 2), (-1.5, -1.5, *(-0.1,) * 8, -1.5, -0.1), ended=True)


def run(first: Sequence[TokenSequence], answers: Sequence[Sequence[TokenSequence]]) -> tuple[list[TokenSequence], list[list[int]]]:  # fmt: skip  # noqa: E501
    asked: list[list[int]] = []
    waiting = iter(answers)

    def retry(rows: list[int]) -> Sequence[Sequence[TokenSequence]]:
        asked.append(rows)
        return [next(waiting) for _ in rows]

    found = with_fallback(
        first, retry, 2, text=lambda item: " ".join(map(str, item.tokens)), seconds=[10.0] * len(first)
    )  # fmt: skip
    return found, asked


def test_what_is_certain_is_not_tried_again() -> None:
    assert run([SURE, SURE], []) == ([SURE, SURE], [])


def test_each_row_has_the_first_retry_that_looks_right() -> None:
    better = TokenSequence((9, 8), (-0.2,) * 3, ended=True)
    found, asked = run([GUESS, SURE, LOOP, SURE, GUESS], [[LOOP, better], [SURE, better], [GUESS, SURE]])
    assert found == [better, SURE, SURE, SURE, SURE]
    assert asked == [[0, 2], [4]]  # no more sequences at once than there are rows


def test_without_a_better_one_the_first_stays_without_its_loop() -> None:
    found, _ = run([LOOP, GUESS], [[GUESS, LOOP], []])
    assert [item.tokens for item in found] == [(1, 7, 8), GUESS.tokens]
    assert len(found[0].log_probabilities) == 3


def test_a_repetition_that_the_model_ended_stays_whole() -> None:
    found, asked = run([REPEATED], [[GUESS, GUESS]])
    assert found == [REPEATED]
    assert asked == [[0]]  # it was doubtful enough for retries
