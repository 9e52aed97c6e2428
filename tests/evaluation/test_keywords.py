"""Words that matter to somebody, and words that training has rarely shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.keywords import KeywordScore, keyword_scores, read_keywords, word_scores
from speechxfer.evaluation.metrics import align

BASIC = TextNormalizer("basic")
TEXT = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


def scored(references: list[str], hypotheses: list[str], keyword: str) -> KeywordScore:
    return keyword_scores(align(references, hypotheses, BASIC), [keyword])[0]


def test_recall_and_precision() -> None:
    found = scored(["call Anna now", "call Anna", "call Hannah"], ["call anna now", "call hannah", "call anna"], "anna")
    assert (found.said, found.written, found.right) == (2, 2, 1)
    assert (found.recall, found.precision) == (0.5, 0.5)
    assert found.row() == ("anna", "2", "0.500", "2", "0.500")


def test_a_phrase_counts_as_a_whole() -> None:
    references = ["the New York office", "new york", "York is new"]
    found = scored(references, ["the new york office", "new fork", "york is new"], "new york")
    assert (found.said, found.written, found.right) == (2, 1, 1)
    assert scored(["new york"], ["new and york"], "new york").right == 0


def test_the_right_word_in_the_wrong_place_is_not_right() -> None:
    found = scored(["anna went home with bob"], ["bob went home with anna"], "anna")
    assert (found.said, found.written, found.right) == (1, 1, 0)


def test_what_is_never_said_has_no_recall() -> None:
    found = scored(["a b"], ["a c"], "c")
    assert (found.recall, found.precision) == (None, 0.0)
    assert found.row() == ("c", "0", "-", "1", "0.000")
    assert scored(["a b"], ["a c"], "z").to_dict()["precision"] is None


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.sampled_from(["a", "b c", "a a", "c b a"]))
def test_both_sides_count_the_same_words_right(texts: list[tuple[str, str]], keyword: str) -> None:
    pairs = [("x " + one, "x " + other) for one, other in texts]
    there = scored([pair[0] for pair in pairs], [pair[1] for pair in pairs], keyword)
    assert 0 <= there.right <= min(there.said, there.written)
    same = scored([pair[0] for pair in pairs], [pair[0] for pair in pairs], keyword)
    assert same.said == same.written == same.right


def test_keywords_are_read_as_the_normalizer_writes_them(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\ufeffNew York\n\n new  york!\nO'Brien\n", encoding="utf-8")
    assert read_keywords(tmp_path / "words.txt", BASIC) == ["new york", "o'brien"]
    (tmp_path / "words.txt").write_text("anna\nbob", encoding="utf-16")
    assert read_keywords(tmp_path / "words.txt", BASIC) == ["anna", "bob"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"anna\n?!\n", r"words.txt:2: normalizer basic/2 removes all of '\?!'"),
        (b"\n \n", "words.txt: holds no keywords"),
        (b"anna\n\xff\xfe", "words.txt:2: not UTF-8"),
    ],
)
def test_bad_keywords_are_reported(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_keywords(tmp_path / "words.txt", BASIC)
    with pytest.raises(DataError, match=r"none.txt: no such file"):
        read_keywords(tmp_path / "none.txt", BASIC)


def test_words_by_how_often_training_has_shown_them() -> None:
    training = ["Often! " * 100, "some " * 5, "rarely"]
    pairs = align(["often some rarely never", "never"], ["often same rarely ever extra", "never"], BASIC)
    found = {one.seen: (one.words, one.wrong) for one in word_scores(pairs, training, BASIC)}
    assert found == {
        "never": (2, 1),
        "1 or 2 times": (1, 0),
        "3 to 9 times": (1, 1),
        "10 to 99 times": (0, 0),
        "100 times or more": (1, 0),
    }
    rates = [one.rate for one in word_scores(pairs, training, BASIC)]
    assert rates == [0.5, 0.0, 1.0, None, 0.0]
