"""Two segments that share a few seconds: no word is lost, and none is written twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding.hypothesis import Word
from speechxfer.inference import Segment
from speechxfer.inference.overlap import join


def said(text: str, start: float, pace: float = 0.5) -> Segment:
    """A word each half second."""
    texts = text.split()
    words = tuple(Word(word, start + place * pace, start + (place + 0.8) * pace) for place, word in enumerate(texts))
    return Segment(start, start + len(texts) * pace, text, words, 0.9)


def without_times(segment: Segment) -> Segment:
    return Segment(segment.start, segment.end, segment.text)


@pytest.mark.parametrize("form", [lambda segment: segment, without_times])
def test_words_on_which_both_agree_are_written_once(form) -> None:
    left, right = form(said("a b c d e f g", 0)), form(said("d e f g h i", 1.5))
    joined = join(left, right, (1.5, 3.5))
    assert " ".join(part.text for part in joined) == "a b c d e f g h i"
    assert joined[0].end <= joined[1].start


def test_words_that_were_cut_are_taken_from_the_other() -> None:
    left, right = said("we meet on Wednesday mor", 0), said("on, wednesday morning at nine", 1.0)
    joined = join(left, right, (1.0, 2.5))
    assert " ".join(part.text for part in joined) == "we meet on Wednesday morning at nine"
    assert " ".join(word.text for part in joined for word in part.words) == "we meet on Wednesday morning at nine"


def test_a_word_that_is_repeated_is_not_taken_for_another() -> None:
    left, right = said("no no no no no no no no", 0), said("no no no no no no yes", 2)
    joined = join(left, right, (2, 4))
    assert " ".join(part.text for part in joined) == "no no no no no no no no no no yes"


def test_without_agreement_the_seam_is_the_middle() -> None:
    left, right = said("a b c d e f g h", 0), said("o p q r s t", 2)
    joined = join(left, right, (2, 4))
    assert " ".join(part.text for part in joined) == "a b c d e f q r s t"


def test_characters_are_aligned_where_words_have_no_spaces() -> None:
    left, right = Segment(0, 4, "今天天气很好我们"), Segment(2, 6, "很好我们出去玩吧")
    joined = join(left, right, (2, 4))
    assert "".join(part.text for part in joined) == "今天天气很好我们出去玩吧"


def test_one_of_them_may_be_empty() -> None:
    left, right = said("a b c d e f", 0), Segment(2, 6, "")
    assert join(left, right, (2, 3))[0].text == "a b c d e f"
    assert join(Segment(0, 3, ""), said("a b c", 2), (2, 3))[1].text == "a b c"


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=8, max_size=40), st.data())
def test_two_views_of_the_same_words_give_them_back(texts: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(texts) - 4))
    end = data.draw(st.integers(begin + 2, len(texts)))
    left, right = said(" ".join(texts[:end]), 0), said(" ".join(texts[begin:]), begin * 0.5)
    joined = join(left, right, (begin * 0.5, end * 0.5))
    assert [word.text for part in joined for word in part.words] == texts
    assert " ".join(part.text for part in joined if part.text).split() == texts


def test_without_word_times_characters_are_words_where_a_script_has_no_spaces() -> None:
    left, right = Segment(0, 4, "今天天气很好"), Segment(2, 6, "气很好我们去")
    joined = join(left, right, (2, 4))
    assert "".join(part.text for part in joined) == "今天天气很好我们去"
