"""Training: probabilities that add up to one, and those of a slow implementation by the book."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.errors import ConfigError, DataError
from speechxfer.language_models import BEGIN, END, UNKNOWN, LanguageModel, train

TEXTS = ["the cat sat", "the cat ran", "a dog sat", "the dog ran to the cat", "a cat"]
texts = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


def node_of(model: LanguageModel, words: tuple[str, ...]) -> int:
    node = 0
    for word in words:
        node = model.step(node, model.numbers[word])[1]
    return node


def contexts(model: LanguageModel) -> list[tuple[str, ...]]:
    found = [gram for grams in model.grams.probabilities[:-1] for gram in grams if gram[-1] not in (END, UNKNOWN)]
    return [(), *found]


@given(texts, st.integers(1, 4))
@settings(max_examples=60)
def test_probabilities_after_any_words_add_up_to_one(sentences: list[str], order: int) -> None:
    model = LanguageModel.of(train(sentences, order))
    following = [number for word, number in model.numbers.items() if word != BEGIN]
    for words in contexts(model):
        node = node_of(model, words)
        assert math.fsum(math.exp(model.step(node, number)[0]) for number in following) == pytest.approx(1.0)


@given(texts)
@settings(max_examples=30)
def test_pruned_they_still_do(sentences: list[str]) -> None:
    model = LanguageModel.of(train(sentences, 3, (0, 1, 2)))
    assert all(count <= whole for count, whole in zip(model.grams.counts(), train(sentences, 3).counts(), strict=True))
    following = [number for word, number in model.numbers.items() if word != BEGIN]
    for words in contexts(model):
        node = node_of(model, words)
        assert math.fsum(math.exp(model.step(node, number)[0]) for number in following) == pytest.approx(1.0)


def discount(count: int, counts: Counter[str]) -> float:
    """What is taken off a count: Chen and Goodman (1999), equation 26."""
    occur = Counter(counts.values())
    if not (occur[1] and occur[2] and occur[3]):
        return {0: 0.0, 1: 0.5, 2: 1.0}.get(count, 1.5)
    size = min(count, 3)
    return size - (size + 1) * occur[1] / (occur[1] + 2 * occur[2]) * occur[size + 1] / occur[size] if size else 0.0


def by_the_book(sentences: list[str], word: str, context: tuple[str, ...]) -> float:
    """The probability of a word after another one by interpolated modified Kneser-Ney of order 2."""
    sides = [([BEGIN, *text.split()], [*text.split(), END]) for text in sentences]
    pairs = Counter(pair for side in sides for pair in zip(*side, strict=True))
    before = Counter(second for _, second in pairs)
    total = sum(before.values())
    freed = sum(discount(count, before) for count in before.values()) / total
    low = (before[word] - discount(before[word], before)) / total + freed / (len(before) + 1)
    seen = Counter({second: count for (first, second), count in pairs.items() if (first,) == context})
    if not seen:
        return low
    freed = sum(discount(count, pairs) for count in seen.values()) / sum(seen.values())
    return (seen[word] - discount(seen[word], pairs)) / sum(seen.values()) + freed * low


@pytest.mark.parametrize("context", [(), ("the",), ("a",), (BEGIN,), ("cat",), ("to",)])
def test_probabilities_are_those_of_the_formulas(context: tuple[str, ...]) -> None:
    model = LanguageModel.of(train(TEXTS, 2))
    node = node_of(model, context)
    for word in ("the", "cat", "sat", "ran", END, UNKNOWN):
        expected = by_the_book(TEXTS, word, context)
        assert math.exp(model.step(node, model.numbers[word])[0]) == pytest.approx(expected, rel=1e-6)


def test_what_was_seen_is_likelier_than_what_was_not() -> None:
    model = LanguageModel.of(train(TEXTS, 3))
    assert sum(model.score(["the", "cat", "sat"])) > sum(model.score(["sat", "cat", "the"]))
    good, bad = model.perplexity(TEXTS), model.perplexity(["to to dog zebra"])
    assert good.value < bad.value
    assert (bad.words, bad.sentences, bad.unknown) == (4, 1, 1)


def test_marks_of_a_sentence_inside_a_text_are_words_that_are_not_known() -> None:
    model = LanguageModel.of(train(["a <s> b </s> c"], 2))
    assert UNKNOWN not in model
    assert "<s>" not in model
    assert "a" in model


@pytest.mark.parametrize(
    ("order", "prune", "message"),
    [
        (0, (), "order is 0; wanted 1 to 6"),
        (7, (), "order is 7"),
        (3, (1,), "prune is 1; wanted"),
        (3, (0, 2, 1), "0 2 1; wanted"),
        (2, (0, 0, 1), "at most 2 numbers"),
    ],
)
def test_wrong_orders_and_thresholds_are_refused(order: int, prune: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train(TEXTS, order, prune)


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(DataError, match="no word in the text"):
        train(["", "  "])
