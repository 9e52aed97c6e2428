"""Searches over a toy decoder whose best sequences can be found by trying all."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from speechxfer.decoding.search import TokenSequence, beam_search, greedy, sample

VOCABULARY, END, LIMIT = 5, 4, 4


class Toy:
    """Log-probabilities that depend on the row and on everything written so far, by a table of random numbers."""

    def __init__(self, rows: int, seed: int) -> None:
        self.history: list[tuple[int, ...]] = [(row,) for row in range(rows)]
        self.seed = seed
        self.computed = 0

    def score(self, history: tuple[int, ...]) -> Tensor:
        chance = torch.Generator().manual_seed(hash((self.seed, *history)) % 2**31)
        return (3 * torch.randn(VOCABULARY, generator=chance)).log_softmax(-1)

    def __call__(self, tokens: Tensor) -> Tensor:
        assert len(tokens) == len(self.history)
        self.computed += len(tokens)
        self.history = [(*old, *new) for old, new in zip(self.history, tokens.tolist(), strict=True)]
        return torch.stack([self.score(history) for history in self.history])

    def keep(self, rows: Tensor) -> None:
        self.history = [self.history[row] for row in rows.tolist()]


PROMPT = (0,)


def best_of_all(toy: Toy, row: int) -> tuple[float, tuple[int, ...]]:
    """Of every sequence that ends within the limit: the highest mean log-probability."""
    found = []
    for length in range(LIMIT):
        for text in itertools.product(range(VOCABULARY - 1), repeat=length):
            history: tuple[int, ...] = (row, *PROMPT)
            total = 0.0
            for token in (*text, END):
                total += float(toy.score(history)[token])
                history = (*history, token)
            found.append((total / (length + 1), text))
    return max(found)


def prompt(rows: int) -> Tensor:
    return torch.tensor([PROMPT] * rows)


@pytest.mark.parametrize("seed", range(5))
def test_enough_beams_find_the_best_of_all(seed: int) -> None:
    found = beam_search(Toy(3, seed), prompt(3), end=END, limits=[LIMIT] * 3, beams=300, keep=10**6)
    for row, written in enumerate(found):
        score, text = best_of_all(Toy(3, seed), row)
        assert written.tokens == text
        assert written.mean_log_probability == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy(seed: int) -> None:
    limits = [LIMIT, 2, 1, 3]
    best = greedy(Toy(4, seed), prompt(4), end=END, limits=limits)
    assert [item.tokens for item in beam_search(Toy(4, seed), prompt(4), end=END, limits=limits, beams=1)] == [
        item.tokens for item in best
    ]
    assert all(len(item.tokens) <= limit for item, limit in zip(best, limits, strict=True))


def test_greedy_takes_the_most_likely_token_whatever_stands_beside_it() -> None:
    toy = Toy(1, 7)
    history: tuple[int, ...] = (0, *PROMPT)
    expected: list[int] = []
    while len(expected) < LIMIT and (token := int(toy.score(history).argmax())) != END:
        expected.append(token)
        history = (*history, token)
    for rows in (1, 5):
        assert greedy(Toy(rows, 7), prompt(rows), end=END, limits=[LIMIT] * rows)[0].tokens == tuple(expected)


def test_finished_rows_cost_nothing() -> None:
    toy = Toy(3, 1)
    written = greedy(toy, prompt(3), end=END, limits=[1, 1, 30])
    steps = len(written[2].tokens) + written[2].ended
    assert toy.computed == 3 + steps - 1


def sampled(rows: int, temperatures: Sequence[float], seed: int = 0) -> list[list[TokenSequence]]:
    return sample(Toy(rows, 2), prompt(rows), end=END, limits=[LIMIT] * rows, temperatures=temperatures, seed=seed)


def test_sampling_is_reproducible_from_its_seed() -> None:
    assert sampled(6, [2.0], 1) == sampled(6, [2.0], 1)
    assert sampled(6, [2.0], 1) != sampled(6, [2.0], 2)


def test_a_sample_does_not_depend_on_what_it_is_computed_with() -> None:
    together = sampled(5, [0.5, 0.0, 2.0])
    for place, temperature in enumerate([0.5, 0.0, 2.0]):
        alone = sampled(3, [temperature])
        assert [row[place] for row in together[:3]] == [only for (only,) in alone]
    assert [row[1] for row in together] == greedy(Toy(5, 2), prompt(5), end=END, limits=[LIMIT] * 5)


def test_samples_are_as_frequent_as_likely() -> None:
    scores = Toy(1, 3).score((0, *PROMPT))
    firsts = [sample(Toy(1, 3), prompt(1), end=END, limits=[1], temperatures=[1.0], seed=seed) for seed in range(2000)]
    tokens = [one.tokens[0] if one.tokens else END for ((one,),) in firsts]
    counts = torch.tensor(tokens).bincount(minlength=len(scores)) / len(tokens)
    torch.testing.assert_close(counts, scores.exp(), atol=0.04, rtol=0.0)


def test_what_never_ends_is_cut_at_its_limit() -> None:
    class Endless(Toy):
        def score(self, history: tuple[int, ...]) -> Tensor:
            scores = super().score(history)
            scores[END] = -50.0
            return scores

    for found in (
        greedy(Endless(2, 1), prompt(2), end=END, limits=[3, 2]),
        beam_search(Endless(2, 1), prompt(2), end=END, limits=[3, 2], beams=2),
    ):
        assert [len(item.tokens) for item in found] == [3, 2]
        assert not any(item.ended for item in found)
