from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.metrics import Counts, align, damage, error_rates, rates_of, total

BASIC = TextNormalizer("basic")
TEXT = st.lists(st.sampled_from(["a", "b", "cc", "d", "e"]), max_size=7).map(" ".join)


def fewest_errors(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein's distance, written down without a library."""
    previous = list(range(len(hypothesis) + 1))
    for row, word in enumerate(reference, start=1):
        current = [row]
        for column, written in enumerate(hypothesis, start=1):
            kept = previous[column - 1] + (word != written)
            current.append(min(kept, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]


def test_errors_are_counted_over_the_corpus_not_averaged() -> None:
    rates = error_rates(["a b c d e f g h", "x"], ["a b c d e f g h", "y"], BASIC)
    assert rates.wer == pytest.approx(1 / 9)  # the mean of the utterances' rates would be 1/2
    assert (rates.words, rates.utterances, rates.substitutions) == (9, 2, 1)
    assert rates.normalizer == "basic/2"


def test_kinds_of_errors() -> None:
    rates = error_rates(["one two three", "four"], ["one too three tree", ""], BASIC)
    assert (rates.hits, rates.substitutions, rates.insertions, rates.deletions) == (2, 1, 1, 1)
    assert rates.wer == pytest.approx(3 / 4)
    assert rates.mer == pytest.approx(3 / 5)
    assert rates.characters == len("one two threefour")
    assert rates.character_hits + rates.character_substitutions + rates.character_deletions == rates.characters


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_counts_are_those_of_jiwer_over_the_whole_corpus(texts: list[tuple[str, str]]) -> None:
    references, hypotheses = [pair[0] for pair in texts], [pair[1] for pair in texts]
    if not any(references):
        return
    rates = error_rates(references, hypotheses, BASIC)
    words, characters = jiwer.process_words(references, hypotheses), jiwer.process_characters(references, hypotheses)
    assert (rates.wer, rates.mer) == (words.wer, words.mer)
    assert rates.wil == pytest.approx(words.wil)
    assert rates.cer == characters.cer
    theirs = (words.hits, words.substitutions, words.deletions, words.insertions)
    assert (rates.hits, rates.substitutions, rates.deletions, rates.insertions) == theirs


@given(TEXT, TEXT)
def test_no_alignment_has_fewer_errors(reference: str, hypothesis: str) -> None:
    pair = align([reference, "x"], [hypothesis, "x"], BASIC)[0]
    assert pair.words.errors == fewest_errors(reference.split(), hypothesis.split())
    assert (pair.words.reference, pair.words.hypothesis) == (len(reference.split()), len(hypothesis.split()))
    matches = pair.matches()
    assert len(matches) == pair.words.hits
    assert all(pair.reference[place] == pair.hypothesis[other] for place, other in matches.items())


@given(TEXT, TEXT, TEXT)
def test_errors_are_a_distance(first: str, second: str, third: str) -> None:
    def distance(one: str, other: str) -> int:
        return align([one, "x"], [other, "x"], BASIC)[0].words.errors

    assert distance(first, second) == distance(second, first)
    assert distance(first, third) <= distance(first, second) + distance(second, third)
    assert (distance(first, second) == 0) == (first.split() == second.split())


def test_both_sides_are_normalized() -> None:
    assert error_rates(["Premi UNO."], ["premi uno"], BASIC).wer == 0
    assert error_rates(["Premi UNO."], ["premi uno"], TextNormalizer("none")).wer == 1


def test_words_for_silence_are_insertions() -> None:
    rates = error_rates(["", "a b"], ["hello there", "a b"], BASIC)
    assert (rates.insertions, rates.words, rates.wer, rates.silent) == (2, 2, 1.0, 1)
    silent = align(["", "a b"], ["hello there", "a b"], BASIC)[0].words
    assert (silent.insertions, silent.reference, silent.rate) == (2, 0, None)


def test_silence_for_everything_is_an_error_of_one() -> None:
    rates = error_rates(["a b", "c"], ["", ""], BASIC)
    assert (rates.wer, rates.mer, rates.wil, rates.deletions) == (1.0, 1.0, 1.0, 3)


def test_nothing_to_measure_is_no_division_by_zero() -> None:
    with pytest.raises(DataError, match="2 references hold no word after normalizer basic/2; there is nothing"):
        error_rates(["", " "], ["a", "b"], BASIC)
    with pytest.raises(DataError, match="0 references hold no word"):
        error_rates([], [], BASIC)


def test_a_normalizer_that_leaves_nothing_is_reported_with_what_it_took() -> None:
    with pytest.raises(DataError, match=r"it removes all of '\?!'; choose another normalizer"):
        error_rates(["?!", "..."], ["a", "b"], BASIC)


def test_both_counts_are_reported_where_they_differ() -> None:
    with pytest.raises(DataError, match="2 references but 1 hypotheses"):
        error_rates(["a", "b"], ["a"], BASIC)


def test_rates_of_parts_come_from_sums() -> None:
    pairs = align(["a b", "c d e f"], ["a x", "c d e f"], BASIC)
    assert total(pair.words for pair in pairs) == Counts(5, 1, 0, 0)
    assert rates_of(pairs[:1], BASIC).wer == 0.5


def test_words_decide_between_models_or_characters_while_hardly_a_word_is_right() -> None:
    reference = ["alpha beta gamma delta"]
    babble, letters, words = ("a a a a", "alpho beto gammo delto", "alpha beta xxxxx xxxxx")
    by_words, by_letters, by_chance = (error_rates(reference, [said], BASIC) for said in (words, letters, babble))
    assert by_words.cer > by_letters.cer
    assert by_words.rank < by_letters.rank < by_chance.rank
    lucky = error_rates(["one two three four five six seven eight nine ten eleven"], ["one x"], BASIC)
    close = error_rates(["one two three four five six seven eight nine ten eleven"], ["ono twe thre fou fiv si seve eigt nin te eleve"], BASIC)  # fmt: skip  # noqa: E501
    assert lucky.wer < close.wer
    assert close.rank < lucky.rank


def test_references_whose_marks_a_normalizer_drops_are_counted() -> None:
    hindi = "\u0939\u093f\u0928\u094d\u0926\u0940"
    message = damage([hindi, None, "caf\u00e9", f"a {hindi}"], TextNormalizer("whisper-basic"))
    assert message is not None
    assert message.startswith(f"normalizer whisper-basic/1 removes marks from 2 references: '{hindi}' becomes ")
    assert damage([hindi], TextNormalizer("basic")) is None
