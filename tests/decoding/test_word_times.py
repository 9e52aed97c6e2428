from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from speechxfer.decoding.attention_alignment import token_times
from speechxfer.decoding.hypothesis import Word
from speechxfer.decoding.word_times import within, words_of_tokens


def words(text: str, *tokens: str) -> list[str]:
    ends = np.cumsum([len(token) for token in tokens]).tolist()
    return [word.text for word in words_of_tokens(text, ends, list(range(len(ends) + 1)), [0.0] * len(ends))]


def test_spaces_divide_words() -> None:
    assert words("Good evening, all.", "Go", "od", " evening", ",", " all", ".") == ["Good", "evening,", "all."]
    assert words("a b", "a b") == ["a", "b"]
    assert words("", *[]) == []


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        (("東京", "に", "行", "く", "。"), ["東京", "に", "行", "く。"]),
        (("「", "東京", "」", "と"), ["「東京」", "と"]),
        (("iPhone", "を", "買う"), ["iPhone", "を", "買う"]),
        (("ฉัน", "ไป"), ["ฉัน", "ไป"]),
        (("안녕", "하세요", " 여러분"), ["안녕하세요", "여러분"]),
    ],
)
def test_tokens_divide_words_where_a_script_has_no_spaces(tokens: tuple[str, ...], wanted: list[str]) -> None:
    assert words("".join(tokens), *tokens) == wanted


def test_a_word_has_the_times_and_the_confidence_of_its_letters() -> None:
    halved = math.log(0.5)
    found = words_of_tokens("“So it is.”", [1, 3, 6, 9, 10, 11], [0, 1, 2, 3, 4, 5, 6], [-9, 0, halved, 0, -9, -9])
    assert found == (Word("“So", 1, 2, 1.0), Word("it", 2, 3, pytest.approx(0.5)), Word("is.”", 3, 4, 1.0))


def test_words_are_one_after_the_other_and_none_is_of_no_length() -> None:
    draw = random.Random(0)
    for _ in range(300):
        end, count = draw.choice([0.0005, 0.02, 0.3, 4.0]), draw.randint(1, 12)
        times = [draw.choice([0.0, draw.uniform(-1, 6), end]) for _ in range(2 * count)]
        given = [Word("a", *pair) for pair in zip(times[::2], times[1::2], strict=True)]
        found = within(given, end)
        assert found[0].start >= 0
        assert found[-1].end <= end
        assert all(word.end > word.start for word in found)
        assert all(first.end <= second.start for first, second in pairwise(found))


def test_times_that_are_possible_stay() -> None:
    given = (Word("a", 0.1, 0.4, 0.5), Word("b", 0.4, 0.6), Word("c", 0.9, 1.0))
    assert within(given, 1.0) == given
    assert within([], 1.0) == ()


def test_each_token_begins_where_it_is_attended_to() -> None:
    attention = np.full((4, 40), 0.01, dtype=np.float32)
    for token, (first, last) in enumerate([(0, 10), (10, 13), (13, 30), (30, 40)]):
        attention[token, first:last] = 1.0
    assert token_times(attention, 20.0) == pytest.approx([0.0, 0.44, 0.59, 1.44])


def test_a_token_that_attends_little_keeps_its_place() -> None:
    attention = np.full((3, 30), 0.001, dtype=np.float32)
    attention[0, :10], attention[1, 10:20], attention[2, 20:] = 5.0, 0.01, 5.0
    assert token_times(attention, 50.0) == pytest.approx([0.0, 0.14, 0.34], abs=0.021)


def test_more_tokens_than_frames_have_times_too() -> None:
    found = token_times(np.ones((7, 2), dtype=np.float32), 50.0)
    assert len(found) == 7
    assert found == sorted(found)
