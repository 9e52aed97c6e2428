from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding.sanity import compression_ratio, is_doubtful, without_echo, without_loop
from speechxfer.decoding.search import Written


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ((1, 2, 3), (1, 2, 3)),
        ((1, 7, 7, 7, 7), (1, 7)),
        ((7, 7, 7, 1), (7, 7, 7, 1)),  # three times is emphasis
        ((4, *(1, 2, 3) * 5, 9), (4, 1, 2, 3)),
        ((), ()),
    ],
)
def test_a_loop_ends_after_its_first_turn(tokens: tuple[int, ...], kept: tuple[int, ...]) -> None:
    assert without_loop(tokens) == kept


@given(st.lists(st.integers(0, 2), max_size=60))
def test_what_is_left_is_a_beginning_without_a_loop(tokens: list[int]) -> None:
    kept = without_loop(tokens)
    assert list(kept) == tokens[: len(kept)]
    assert without_loop(kept) == kept


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ((9, 1, 2, 3, 4, 1, 2, 3, 4), (9, 1, 2, 3, 4)),
        ((9, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2), (9, 1, 2, 3, 4)),
        ((9, 1, 2, 3, 4, 1, 2, 3, 4, 8), (9, 1, 2, 3, 4, 1, 2, 3, 4, 8)),  # it went on
        ((9, 1, 2, 3, 1, 2, 3), (9, 1, 2, 3, 1, 2, 3)),  # too short to be an echo
        ((), ()),
    ],
)
def test_a_phrase_at_the_end_is_said_once(tokens: tuple[int, ...], kept: tuple[int, ...]) -> None:
    assert without_echo(tokens) == kept


@given(st.lists(st.integers(0, 2), max_size=60))
def test_what_is_left_is_a_beginning_that_has_every_token(tokens: list[int]) -> None:
    kept = without_echo(tokens)
    assert list(kept) == tokens[: len(kept)]
    assert set(kept) == set(tokens)


def test_speech_is_not_doubted_and_babble_is() -> None:
    sure = Written(tuple(range(9)), -2.0, ended=True)
    assert not is_doubtful(sure, "we went to the market to buy some bread")
    assert is_doubtful(Written(tuple(range(9)), -20.0, ended=True), "we went to the market")
    assert is_doubtful(sure, "la la la " * 30)
    assert compression_ratio("") == 1.0
