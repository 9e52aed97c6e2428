"""The beam search finds what an exhaustive search finds, with a language model and without one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.decoding.ctc_alignment import best_path
from speechxfer.decoding.ctc_beam import best_text
from speechxfer.decoding.greedy import collapse
from speechxfer.decoding.lexicon import Lexicon, Search, Weights
from speechxfer.errors import ConfigError
from speechxfer.language_models import END, UNKNOWN, LanguageModel, train

CHARACTERS = [" ", "a", "b"]
PIECES = [" a", " b", "a", "b"]
MODEL = LanguageModel.of(train(["a b", "a a b", "ab b", "ab"], 2))
seeds = st.integers(0, 10_000)


def probabilities(frames: int, symbols: int, seed: int) -> np.ndarray:
    """Natural logarithms [frames, symbols] of random probabilities."""
    generator = np.random.default_rng(seed)
    return np.log(generator.dirichlet(np.full(symbols, 0.5), size=frames) + 1e-5).astype(np.float32)


def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(symbol.number for symbol in collapse(path, [0.0] * len(path), 0))


def judged(symbols: tuple[int, ...], written: list[str], weights: Weights, hotwords: dict[str, float]) -> float:
    """What the language model and hotwords add to a text's score."""
    words = "".join(written[symbol - 1] for symbol in symbols).split()
    node, total = MODEL.beginning, 0.0
    for word in words:
        is_known = word in MODEL
        score, node = MODEL.step(node, MODEL.numbers[word if is_known else UNKNOWN])
        total += weights.language_model * score + weights.word + hotwords.get(word, 0.0)
        total += 0.0 if is_known or word in hotwords else weights.unknown * len(word)
    return total + weights.language_model * MODEL.step(node, MODEL.numbers[END])[0]


def exhaustive(
    scores: np.ndarray, written: list[str], weights: Weights | None, hotwords: dict[str, float]
) -> tuple[tuple[int, ...], float]:
    """The best text and its score, from all paths there are."""
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        total = sum(float(scores[frame, symbol]) for frame, symbol in enumerate(path))
        sums[spelled(path)] = float(np.logaddexp(sums.get(spelled(path), -math.inf), total))
    if weights is not None:
        sums = {symbols: total + judged(symbols, written, weights, hotwords) for symbols, total in sums.items()}
    else:
        texts = {symbols: "".join(written[symbol - 1] for symbol in symbols).split() for symbols in sums}
        added = {symbols: sum(hotwords.get(word, 0.0) for word in words) for symbols, words in texts.items()}
        sums = {symbols: total + added[symbols] for symbols, total in sums.items()}
    best = max(sums, key=lambda symbols: sums[symbols])
    return best, sums[best]


@pytest.mark.slow
@pytest.mark.parametrize("written", [CHARACTERS, PIECES], ids=["characters", "pieces"])
@given(
    seeds, st.integers(1, 5), st.sampled_from([None, Weights(), Weights(1.5, -1.0, -3.0), Weights(0.3, 3.0, 0.0)]),
    st.sampled_from([{}, {"bb": 2.0}, {"a": 1.0, "ba": 3.0}]),
)  # fmt: skip
@settings(max_examples=80)
def test_it_finds_the_best_text_there_is(
    written: list[str], seed: int, frames: int, weights: Weights | None, hotwords: dict[str, float]
) -> None:
    scores = probabilities(frames, len(written) + 1, seed)
    lexicon = Lexicon(written, None if weights is None else MODEL).with_hotwords(tuple(hotwords.items()))
    found, score = best_text(scores, Search(lexicon, weights or Weights(), beams=2000))
    best, expected = exhaustive(scores, written, weights, hotwords)
    assert score == pytest.approx(expected, abs=1e-4)
    assert tuple(found) == best


def test_more_beams_never_find_a_worse_text() -> None:
    for seed in range(20):
        scores = probabilities(40, len(CHARACTERS) + 1, seed)
        found = [best_text(scores, Search(Lexicon(CHARACTERS, MODEL), Weights(), beams))[1] for beams in (2, 500)]
        assert found[0] <= found[1] + 1e-6


def test_the_language_model_decides_between_words_that_sound_alike() -> None:
    # "b" and "a" are as likely after "a "; the language model knows "a b" better than "a a".
    scores = np.log(np.array([[0.01, 0.01, 0.97, 0.01], [0.01, 0.97, 0.01, 0.01], [0.02, 0.01, 0.485, 0.485]]))
    written = [CHARACTERS[symbol - 1] for symbol in best_text(scores, Search(Lexicon(CHARACTERS, MODEL), Weights()))[0]]
    assert "".join(written) == "a b"


def test_a_word_that_is_not_known_is_written_where_it_is_clear() -> None:
    scores = np.full((4, 4), math.log(1e-6))
    for frame, symbol in enumerate((3, 0, 3, 2)):
        scores[frame, symbol] = math.log(1 - 3e-6)
    assert best_text(scores, Search(Lexicon(CHARACTERS, MODEL), Weights()))[0] == [3, 3, 2]


def test_no_frames_are_no_text() -> None:
    assert best_text(np.zeros((0, 4), np.float32), Search(Lexicon(CHARACTERS, MODEL))) == ([], 0.0)


def test_words_need_spaces() -> None:
    with pytest.raises(ConfigError, match="writes no spaces"):
        Lexicon(["a", "b"], MODEL)


@given(seeds, st.integers(1, 5), st.lists(st.integers(1, 2), max_size=4))
@settings(max_examples=80)
def test_no_other_path_is_likelier_that_spells_the_symbols(seed: int, frames: int, symbols: list[int]) -> None:
    scores = probabilities(frames, 3, seed)
    paths = [path for path in itertools.product(range(3), repeat=frames) if spelled(path) == tuple(symbols)]
    if not paths:
        return
    best = max(paths, key=lambda path: sum(float(scores[frame, symbol]) for frame, symbol in enumerate(path)))
    found = best_path(scores, symbols)
    assert spelled(tuple(found.tolist())) == tuple(symbols)
    assert scores[range(frames), found].sum() == pytest.approx(scores[range(frames), list(best)].sum(), abs=1e-4)


def test_a_hotword_stays_among_few_beams_while_it_is_spelled() -> None:
    # Every letter of "bbb" is less likely than another one, so that its beginning would not be among two beams.
    scores = np.full((6, 4), math.log(0.01))
    for frame in range(6):
        scores[frame, 0 if frame % 2 else 2] = math.log(0.9 if frame % 2 else 0.6)
        scores[frame, 3] = math.log(0.05 if frame % 2 else 0.3)
    lexicon = Lexicon(CHARACTERS, None).with_hotwords((("bbb", 4.0),))
    found, score = best_text(scores, Search(lexicon, Weights(), beams=2))
    assert found == [3, 3, 3]
    assert score == pytest.approx(best_text(scores, Search(lexicon, Weights(), beams=500))[1], abs=0.1)
    assert best_text(scores, Search(Lexicon(CHARACTERS, None), Weights(), beams=2))[0] == [2, 2, 2]


def test_the_beginning_of_a_hotword_adds_nothing_in_the_end() -> None:
    scores = probabilities(6, len(CHARACTERS) + 1, 3)
    plain, hot = (Lexicon(CHARACTERS, MODEL).with_hotwords(words) for words in ((), (("aaaaaaaaaa", 9.0),)))
    found = [best_text(scores, Search(lexicon, Weights(), beams=2000)) for lexicon in (plain, hot)]
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1])


def test_all_paths_of_a_beam_are_summed_however_few_beams_there_are() -> None:
    # "a" is 0.4 * (0.5 + 0.3) likely, and 0.6 * 0.3 from the empty text: less than the worse of the two beams.
    scores = np.log(np.array([[0.6, 0.399, 0.001], [0.5, 0.3, 0.2]]))
    found, score = best_text(scores, Search(Lexicon(["a", "b"], None), Weights(), beams=2))
    assert (found, score) == ([1], pytest.approx(np.log(0.399 * 0.8 + 0.6 * 0.3)))
