from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding.hallucination import (
    compression_ratio,
    is_plausible,
    is_suspicious,
    without_loops,
    without_repeated_ending,
)
from speechxfer.decoding.search import TokenSequence


def sequence(tokens: Sequence[int], mean: float = -0.2, *, ended: bool = True) -> TokenSequence:
    return TokenSequence(tuple(tokens), (mean,) * (len(tokens) + ended), ended)


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ((1, 2, 3), (1, 2, 3)),
        ((1, 7, 7, 7, 7), (1, 7)),
        ((7, 7, 7, 1), (7, 7, 7, 1)),  # three times is emphasis
        ((4, *(1, 2, 3) * 5, 9), (4, 1, 2, 3, 9)),
        ((4, *(1, 2, 3) * 5, 1, 2, 9), (4, 1, 2, 3, 1, 2, 9)),
        ((*(7,) * 4, 1, *(8, 9) * 4, 2), (7, 1, 8, 9, 2)),
        ((*(7, 7, 7, 7, 8) * 4, 1), (7, 8, 1)),
        ((), ()),
    ],
)
def test_a_loop_is_written_once_and_the_rest_stays(tokens: tuple[int, ...], kept: tuple[int, ...]) -> None:
    assert without_loops(sequence(tokens)).tokens == kept


def test_a_turn_that_broke_off_at_the_limit_belongs_to_the_loop() -> None:
    tokens = (4, *(1, 2, 3) * 5, 1, 2)
    assert without_loops(sequence(tokens, ended=False)).tokens == (4, 1, 2, 3)
    assert without_loops(sequence(tokens)).tokens == (4, 1, 2, 3, 1, 2)  # the model ended it so


def test_the_log_probabilities_are_those_of_the_tokens_that_stay() -> None:
    looping = TokenSequence((5, 7, 7, 7, 7, 6), (-1.0, -2.0, -0.1, -0.1, -0.1, -3.0, -4.0), ended=True)
    once = without_loops(looping)
    assert (once.tokens, once.log_probabilities, once.ended) == ((5, 7, 6), (-1.0, -2.0, -3.0, -4.0), True)
    assert once.mean_log_probability == -2.5


@given(st.lists(st.integers(0, 2), max_size=60), st.booleans())
def test_what_is_left_holds_every_token_and_no_loop(tokens: list[int], ended: bool) -> None:
    once = without_loops(sequence(tokens, ended=ended))
    assert set(once.tokens) == set(tokens)
    assert without_loops(once) == once
    assert len(once.log_probabilities) == len(once.tokens) + ended


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
    assert without_repeated_ending(sequence(tokens)).tokens == kept


@given(st.lists(st.integers(0, 2), max_size=60), st.booleans())
def test_what_is_left_is_a_beginning_that_has_every_token(tokens: list[int], ended: bool) -> None:
    kept = without_repeated_ending(sequence(tokens, ended=ended))
    assert list(kept.tokens) == tokens[: len(kept.tokens)]
    assert set(kept.tokens) == set(tokens)
    assert len(kept.log_probabilities) == len(kept.tokens) + ended


def test_speech_is_not_doubted_and_babble_is() -> None:
    assert not is_suspicious(sequence(range(9)), "we went to the market to buy some bread", 3.0)
    assert is_suspicious(sequence(range(9), -2.0), "we went to the market", 3.0)
    assert is_suspicious(sequence(range(9)), "la la la " * 30, 3.0)
    assert compression_ratio("") == 1.0


@pytest.mark.parametrize(
    ("text", "tokens", "seconds"),
    [
        ("Yes, yes, yes, yes, yes, I know.", (1, 2, *(3, 2) * 4, 4, 5, 6), 3.0),
        ("0 0 0 0 7 0 0 0 0", (1, 1, 1, 1, 2, 1, 1, 1, 1), 4.0),
        ("ha ha ha ha ha ha ha ha ha ha ha ha", (1,) * 12, 2.5),
        ("对对对对对对我知道", (1,) * 6 + (2, 3, 4, 5), 2.0),
        ("I want to go home. " * 8, (1, 2, 3, 4, 5, 6) * 8, 12.0),
    ],
)
def test_a_finished_repetition_for_which_there_was_time_is_speech(
    text: str, tokens: tuple[int, ...], seconds: float
) -> None:
    assert not is_suspicious(sequence(tokens), text, seconds)
    assert is_plausible(sequence(tokens), text, seconds)


@pytest.mark.parametrize(
    ("written", "text", "seconds"),
    [
        (sequence((1, 2) * 20, ended=False), "Thank you. " * 20, 20.0),  # ran to its limit
        (sequence((1, 2) * 20, -1.5), "Thank you. " * 20, 20.0),  # the model does not believe it
        (sequence((1, 2, 3, 4, 5, 6) * 3), "press one to listen to the message " * 3, 2.0),  # nobody talks so fast
        (sequence((1, 2, 3, 4, 5, 6) * 4), "请按一键收听留言然后挂断" * 4, 3.0),
    ],
)
def test_a_repetition_that_cannot_have_been_said_is_doubted(written: TokenSequence, text: str, seconds: float) -> None:
    assert not is_plausible(written, text, seconds)
    assert is_suspicious(written, text, seconds)


def test_a_loop_does_not_make_itself_certain() -> None:
    looping = TokenSequence((5, 6) * 30, (-2.0, -2.0, *(-0.01,) * 59), ended=True)
    assert looping.mean_log_probability > -0.2
    assert is_suspicious(looping, "the sound " * 30, 60.0)
