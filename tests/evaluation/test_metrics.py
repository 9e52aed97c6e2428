from __future__ import annotations

import pytest

from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.metrics import error_rates, wrong_words

BASIC = TextNormalizer("basic")


def test_errors_are_counted_over_the_corpus_not_averaged() -> None:
    rates = error_rates(["a b c d e f g h", "x"], ["a b c d e f g h", "y"], BASIC)
    assert rates.wer == pytest.approx(1 / 9)  # the mean of the utterances' rates would be 1/2
    assert (rates.words, rates.utterances, rates.substitutions) == (9, 2, 1)
    assert rates.normalizer == "basic/1"


def test_kinds_of_errors() -> None:
    rates = error_rates(["one two three", "four"], ["one too three tree", ""], BASIC)
    assert (rates.substitutions, rates.insertions, rates.deletions) == (1, 1, 1)
    assert rates.wer == pytest.approx(3 / 4)
    assert rates.characters == len("one two threefour")


def test_both_sides_are_normalised() -> None:
    assert error_rates(["Premi UNO."], ["premi uno"], BASIC).wer == 0
    assert error_rates(["Premi UNO."], ["premi uno"], TextNormalizer("none")).wer == 1


def test_words_for_silence_are_insertions() -> None:
    rates = error_rates(["", "a b"], ["hello there", "a b"], BASIC)
    assert (rates.insertions, rates.words, rates.wer) == (2, 2, 1.0)


def test_nothing_to_measure_is_no_division_by_zero() -> None:
    with pytest.raises(DataError, match="hold no word after normaliser basic/1"):
        error_rates(["...", ""], ["a", "b"], BASIC)
    with pytest.raises(DataError, match="2 references but 1 hypotheses"):
        error_rates(["a", "b"], ["a"], BASIC)


def test_wrong_words_of_one_pair() -> None:
    assert wrong_words("a b c", "a c d", BASIC) == 2
