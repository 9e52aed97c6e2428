from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding.greedy import Symbol, collapse, hypothesis

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


def spell(*places: tuple[str, int]) -> tuple[list[Symbol], list[str]]:
    """Symbols of one frame each, and their characters."""
    return [Symbol(1, frame, frame + 1, -0.1 * frame) for _, frame in places], [letter for letter, _ in places]


def test_a_word_ends_at_a_long_pause() -> None:
    result = hypothesis(*spell(("a", 10), ("a", 12), ("b", 112), ("c", 130), (" ", 250), ("d", 260)), frame_s=0.02)
    assert result.text == "aa bc d"
    assert [(word.start, word.end) for word in result.words] == [
        pytest.approx(times) for times in [(0.2, 0.26), (2.24, 2.62), (5.2, 5.22)]
    ]
    assert result.words[1].confidence == pytest.approx(math.exp(-12.1))


def test_a_slow_word_stays_one() -> None:
    assert hypothesis(*spell(("a", 0), ("b", 40), ("c", 80)), frame_s=0.02).text == "abc"


def test_a_pause_adds_no_space_to_a_script_without_spaces() -> None:
    result = hypothesis(*spell(("你", 0), ("好", 5), ("世", 100)), frame_s=0.02, separator="")
    assert result.text == "你好世"
    assert [word.text for word in result.words] == ["你好", "世"]


@given(st.lists(st.tuples(st.sampled_from("ab "), st.integers(1, 80)), max_size=20))
def test_no_word_holds_a_long_pause_and_no_letter_is_lost(steps: list[tuple[str, int]]) -> None:
    frame, places = 0, []
    for letter, step in steps:
        frame += step
        places.append((letter, frame))
    symbols, characters = spell(*places)
    result = hypothesis(symbols, characters, frame_s=0.02)
    assert "".join(result.text.split()) == "".join("".join(characters).split())
    for word in result.words:
        inside = [symbol.start for symbol in symbols if word.start <= symbol.start * 0.02 < word.end]
        assert all(later - before <= 40 for before, later in itertools.pairwise(inside))


def test_silence_is_an_empty_text_without_confidence() -> None:
    assert hypothesis([], [], 0.02).text == ""
    assert hypothesis([], [], 0.02).confidence is None


def words(texts: list[str], spans: list[tuple[int, int]], *, pauses: bool = False) -> list[tuple[str, float, float]]:
    symbols = [Symbol(number, start, end, -1.0) for number, (start, end) in enumerate(spans, start=1)]
    found = hypothesis(symbols, texts, frame_s=1.0, pauses=pauses)
    assert found.text == " ".join(word.text for word in found.words)
    return [(word.text, word.start, word.end) for word in found.words]


def test_a_word_begins_with_the_piece_that_holds_its_space() -> None:
    assert words([" the", " c", "at"], [(0, 1), (3, 4), (4, 6)]) == [("the", 0, 1), ("cat", 3, 6)]
    assert words(["un", "do"], [(0, 1), (5, 6)]) == [("undo", 0, 6)]
    assert words([" ", "a", " ", " b"], [(0, 1), (1, 2), (2, 3), (3, 4)]) == [("a", 1, 2), ("b", 3, 4)]


def test_a_piece_of_several_words_divides_its_frames() -> None:
    assert words([" a", " of the", "n"], [(0, 1), (2, 12), (12, 13)]) == [("a", 0, 1), ("of", 2, 6), ("then", 6, 13)]
    assert words(["s of"], [(4, 5)]) == [("s", 4, 4), ("of", 4, 5)]


def test_phonemes_are_words() -> None:
    assert words([" h", " oʊ"], [(0, 1), (1, 2)]) == [("h", 0, 1), ("oʊ", 1, 2)]
