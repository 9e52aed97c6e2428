"""The path is the best of all there are, whatever is skipped, and however much of it is in memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding import ctc_alignment
from speechxfer.decoding.ctc_alignment import best_path, best_states, word_states

GAP = 4
seeds = st.integers(0, 10_000)
some_words = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3)


def gaps_of(words: list[list[int]]) -> np.ndarray:
    return np.cumsum([0, *(2 * len(word) for word in words)])


def random_scores(frames: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(-3.0, 3.0, (frames, GAP + 1))


def successors(state: int, states: np.ndarray, gaps: list[int]) -> list[tuple[int, tuple[int, ...]]]:
    """The states that may follow, with the words that are skipped on the way."""
    found: list[tuple[int, tuple[int, ...]]] = [(state, ())]
    if state + 1 < len(states):
        found.append((state + 1, ()))
    if state % 2 == 1 and state + 2 < len(states) and states[state + 2] != states[state]:
        found.append((state + 2, ()))
    if state in gaps:
        word = gaps.index(state)
        found += [(gaps[last], tuple(range(word, last))) for last in range(word + 1, len(gaps))]
    return found


def best_score(scores: np.ndarray, words: list[list[int]], skipping: np.ndarray, first: float) -> float:
    """Of all paths, each of which is tried."""
    states, gaps = word_states(words, GAP), gaps_of(words).tolist()

    def price(skipped: tuple[int, ...]) -> float:
        return sum(skipping[word] for word in skipped) + (first if skipped else 0.0)

    best = {0: 0.0}  # before the first frame; and after the last one, in the last gap
    for frame in range(len(scores) + 1):
        following: dict[int, float] = {}
        for state, value in best.items():
            for other, skipped in successors(state, states, gaps):
                added = scores[frame, states[other]] if frame < len(scores) else 0.0
                following[other] = max(following.get(other, -np.inf), value + price(skipped) + added)
        best = following
    return best.get(len(states) - 1, -np.inf)


def score_of(path: np.ndarray, scores: np.ndarray, words: list[list[int]], skipping: np.ndarray, first: float) -> float:
    """That of a path, which must be allowed."""
    states, gaps = word_states(words, GAP), gaps_of(words).tolist()
    total = 0.0
    for frame, (before, state) in enumerate(itertools.pairwise([0, *path.tolist(), len(states) - 1])):
        skipped = dict(successors(before, states, gaps))[state]
        total += sum(skipping[word] for word in skipped) + (first if skipped else 0.0)
        total += scores[frame, states[state]] if frame < len(scores) else 0.0
    return total


@given(words=some_words, frames=st.integers(1, 9), seed=seeds, most_steps=st.sampled_from([1, 20, 1 << 24]))
def test_no_path_is_better(words: list[list[int]], frames: int, seed: int, most_steps: int) -> None:
    scores = random_scores(frames, seed)
    skipping, first = -np.random.default_rng(seed).uniform(0, 8, len(words)), -1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctc_alignment, "_MOST_STEPS", most_steps)
        path = best_states(scores, word_states(words, GAP), gaps_of(words), skipping, first)
    assert score_of(path, scores, words, skipping, first) == pytest.approx(best_score(scores, words, skipping, first))


@given(symbols=st.lists(st.integers(1, 3), max_size=4), frames=st.integers(0, 8), seed=seeds)
def test_a_path_spells_the_symbols(symbols: list[int], frames: int, seed: int) -> None:
    needed = len(symbols) + sum(first == second for first, second in itertools.pairwise(symbols))
    path = best_path(random_scores(frames, seed)[:, :4], symbols)
    assert len(path) == frames
    if frames >= needed:
        assert [symbol for symbol, _ in itertools.groupby(path.tolist()) if symbol] == symbols
