from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding.greedy import collapse, hypothesis

BLANK = "_"


def read(path: str) -> str:
    symbols = collapse([0 if c == BLANK else ord(c) for c in path], [0.0] * len(path), 0)
    return "".join(chr(symbol.number) for symbol in symbols)


@pytest.mark.parametrize(
    ("path", "text"),
    [("HHEEL_LLO__  AL_L", "HELLO ALL"), ("", ""), ("____", ""), ("A_A", "AA"), ("AAA", "A"), ("_A_", "A")],
)
def test_repeats_first_then_blanks(path: str, text: str) -> None:
    assert read(path) == text


@given(st.text("ab ", max_size=20), st.randoms(use_true_random=False))
def test_any_path_that_spells_a_text_is_read_as_it(text: str, chance: object) -> None:
    path = BLANK
    for previous, character in zip(BLANK + text, text, strict=False):
        separator = BLANK if character == previous else BLANK * chance.randrange(2)  # type: ignore[attr-defined]
        path += separator + character * chance.randrange(1, 4)  # type: ignore[attr-defined]
    assert read(path) == text


def test_words_have_times_and_confidences() -> None:
    path, scores = [0, 1, 1, 0, 2, 3, 3, 1], [0.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0, -2.0]
    symbols = collapse(path, scores, 0)
    result = hypothesis(symbols, ["a", "b", " ", "a"], frame_s=0.02)
    assert result.text == "ab a"
    assert [(word.text, word.start, word.end) for word in result.words] == [("ab", 0.02, 0.1), ("a", 0.14, 0.16)]
    assert result.words[0].confidence == pytest.approx(2.718281828**-0.5)
    assert result.words[1].confidence == pytest.approx(2.718281828**-2)


def test_silence_is_an_empty_text_without_confidence() -> None:
    assert hypothesis([], [], 0.02).text == ""
    assert hypothesis([], [], 0.02).confidence is None
