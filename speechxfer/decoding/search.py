"""Decodes a label sequence token by token: greedily, by sampling, or by beam search. It knows no model, only a
function that scores the next token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
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
        temperature: how random sampled tokens are.
    """
    if temperature == 0 and beams > 1:
        return beam_search(scorer, prompt, end=end, limits=limits, beams=beams)
    return [only for (only,) in sample(scorer, prompt, end=end, limits=limits, temperatures=(temperature,))]


def greedy(scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int]) -> list[TokenSequence]:
    """The most likely token at every step; the arguments are those of `sample`."""
    return search(scorer, prompt, end=end, limits=limits, beams=1, temperature=0.0)


def sample(
    scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int], temperatures: Sequence[float], seed: int = 0
) -> list[list[TokenSequence]]:
    """One sequence of each row for each temperature, all in one batch.

    Sampling is the argmax of log-probabilities with Gumbel noise. The noise of a step is the same for all sequences, so
    none depends on what it is computed with.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        temperatures: what the noise is multiplied by; 0 takes the most likely token.
        seed: of the noise.
    """
    if not temperatures:
        return [[] for _ in limits]
    generator = torch.Generator(prompt.device).manual_seed(seed)  # of this call, so that no other call changes it
    scale = torch.tensor([*temperatures] * len(prompt), device=prompt.device)[:, None]
    written = [_Growing(limit) for limit in limits for _ in temperatures]
    scores, alive = scorer(prompt), list(range(len(written)))
    if len(temperatures) > 1:
        rows = torch.arange(len(prompt), device=prompt.device).repeat_interleave(len(temperatures))
        scorer.keep(rows)
        scores = scores[rows]
    while True:
        given = _next_tokens(scores, scale, generator)
        values = scores.gather(1, given)[:, 0].tolist()
        for one, token, value in zip(alive, given[:, 0].tolist(), values, strict=True):
            written[one].add(token, value, end)
        unfinished = [place for place, one in enumerate(alive) if written[one].goes_on]
        if not unfinished:
            break
        if len(unfinished) < len(alive):  # finished sequences are not computed any more
            rows = torch.tensor(unfinished, device=prompt.device)
            scorer.keep(rows)
            given, scale, alive = given[rows], scale[rows], [alive[place] for place in unfinished]
        scores = scorer(given)
    found = (TokenSequence(tuple(one.tokens), tuple(one.log_probabilities), one.ended) for one in written)
    return [[next(found) for _ in temperatures] for _ in limits]


@dataclass
class _Growing:
    """A sequence that grows token by token."""

    limit: int
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    ended: bool = False

    def add(self, token: int, log_probability: float, end: int) -> None:
        self.log_probabilities.append(log_probability)
        self.ended = token == end
        if not self.ended:
            self.tokens.append(token)

    @property
    def goes_on(self) -> bool:
        return not self.ended and len(self.tokens) < self.limit


def _next_tokens(scores: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Log-probabilities [rows, vocabulary] and what noise is multiplied by [rows, 1] -> the next tokens [rows, 1]."""
    if bool((scale > 0).any()):
        noise = torch.empty_like(scores[0]).exponential_(generator=generator).log_()
        scores = scores - scale * noise
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
