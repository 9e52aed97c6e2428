"""Decodes a label sequence token by token: greedily, by sampling, or by beam search. It knows no model, only a
function that scores the next token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Scorer(Protocol):
    """A decoder that remembers, row by row, what it has been given."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """New tokens of each row [rows, count] -> log-probabilities of the token after them [rows, vocabulary]."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order; a row may be named several times."""


@dataclass(frozen=True)
class TokenSequence:
    """A finished sequence without its end token."""

    tokens: tuple[int, ...]
    #: One for each token, and one for the end where that was reached.
    log_probabilities: tuple[float, ...]
    #: False where the limit was reached first.
    ended: bool

    @property
    def mean_log_probability(self) -> float:
        """Per token; sequences of different lengths are compared by it."""
        return math.fsum(self.log_probabilities) / len(self.log_probabilities)


class _Hypothesis(NamedTuple):
    """An unfinished sequence of a beam search, and the sum of its log-probabilities."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    total: float


def search(
    scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int], beams: int, temperature: float
) -> list[TokenSequence]:
    """A beam search at temperature 0, or greedy decoding with one beam; above 0, tokens are sampled.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        beams: hypotheses followed at once at temperature 0.
        temperature: what log-probabilities are divided by before a token is sampled.
    """
    if temperature == 0 and beams > 1:
        return beam_search(scorer, prompt, end=end, limits=limits, beams=beams)
    generator = torch.Generator(prompt.device).manual_seed(0)  # of this call, so that no other call changes it
    return greedy(scorer, prompt, end=end, limits=limits, temperature=temperature, generator=generator)


def greedy(
    scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int], temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[TokenSequence]:  # fmt: skip
    """The most likely token at every step, or with a temperature a sampled one.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        temperature: what log-probabilities are divided by before a token is sampled; 0 takes the most likely.
        generator: the random generator of the samples.
    """
    tokens: list[list[int]] = [[] for _ in prompt]
    log_probabilities: list[list[float]] = [[] for _ in prompt]
    ended = [False] * len(prompt)
    alive, given = list(range(len(prompt))), prompt
    while alive:
        scores = scorer(given)
        given = _next_tokens(scores, temperature, generator)
        values = scores.gather(1, given)[:, 0].tolist()
        unfinished = []
        for place, (row, token, value) in enumerate(zip(alive, given[:, 0].tolist(), values, strict=True)):
            log_probabilities[row].append(value)
            if token == end:
                ended[row] = True
                continue
            tokens[row].append(token)
            if len(tokens[row]) < limits[row]:
                unfinished.append(place)
        if len(unfinished) < len(alive):  # finished rows are not computed any more
            rows = torch.tensor(unfinished, dtype=torch.int64, device=prompt.device)
            scorer.keep(rows)
            given = given[rows]
        alive = [alive[place] for place in unfinished]
    finished = zip(tokens, log_probabilities, ended, strict=True)
    return [TokenSequence(tuple(row), tuple(values), over) for row, values, over in finished]


def _next_tokens(scores: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Log-probabilities [rows, vocabulary] -> the next token of each row [rows, 1]."""
    if temperature > 0:
        return torch.multinomial(torch.softmax(scores / temperature, dim=-1), 1, generator=generator)
    return scores.argmax(dim=-1, keepdim=True)


def beam_search(
    scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int], beams: int, keep: int | None = None
) -> list[TokenSequence]:
    """The sequence with the highest mean log-probability per token among those that `beams` hypotheses lead to.

    A row is finished when `keep` (by default `beams`) of its hypotheses have ended, or at its limit.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        beams: hypotheses followed at once.
    """
    rows = [_Row(end, limit, beams, keep or beams) for limit in limits]
    alive, given = rows, prompt
    while alive:
        best = scorer(given)
        values, tokens = (item.tolist() for item in best.topk(min(beams + 1, best.shape[1]), dim=-1))
        origins, begin = [], 0
        for row in alive:
            size = len(row.unfinished)
            places = row.advance(values[begin : begin + size], tokens[begin : begin + size])
            origins += [begin + place for place in places]
            begin += size
        alive = [row for row in alive if row.unfinished]
        if alive:
            scorer.keep(torch.tensor(origins, dtype=torch.int64, device=prompt.device))
            last = [one.tokens[-1] for row in alive for one in row.unfinished]
            given = torch.tensor(last, dtype=torch.int64, device=prompt.device)[:, None]
    return [max(row.finished, key=lambda item: item.mean_log_probability) for row in rows]


class _Row:
    """The beam search of one row of a batch."""

    def __init__(self, end: int, limit: int, beams: int, wanted: int) -> None:
        self.end, self.limit, self.beams, self.wanted = end, limit, beams, wanted
        self.finished: list[TokenSequence] = []
        #: Most likely first; empty when the row is finished.
        self.unfinished = [_Hypothesis((), (), 0.0)]

    def advance(self, values: Sequence[Sequence[float]], tokens: Sequence[Sequence[int]]) -> list[int]:
        """Extend each hypothesis by its most likely tokens, whose log-probabilities are `values`.

        Returns:
            For each new unfinished hypothesis, the place of the one that it extends.
        """
        candidates = [
            (hypothesis.total + value, place, token, value)
            for place, hypothesis in enumerate(self.unfinished)
            for value, token in zip(values[place], tokens[place], strict=True)
        ]
        extended: list[_Hypothesis] = []
        places: list[int] = []
        for total, place, token, value in sorted(candidates, reverse=True):
            before = self.unfinished[place]
            log_probabilities = (*before.log_probabilities, value)
            if token == self.end:
                self.finished.append(TokenSequence(before.tokens, log_probabilities, ended=True))
            else:
                extended.append(_Hypothesis((*before.tokens, token), log_probabilities, total))
                places.append(place)
            if len(extended) == self.beams:
                break
        if len(self.finished) < self.wanted and len(extended[0].tokens) < self.limit:
            self.unfinished = extended
            return places
        if not self.finished:
            self.finished = [TokenSequence(one.tokens, one.log_probabilities, ended=False) for one in extended]
        self.unfinished = []
        return []
