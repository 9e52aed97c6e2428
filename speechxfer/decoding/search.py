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
class Written:
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
) -> list[Written]:
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
) -> list[Written]:  # fmt: skip
    """The most likely token at every step, or with a temperature a sampled one.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        temperature: what log-probabilities are divided by before a token is sampled; 0 takes the most likely.
        generator: the random generator of the samples.
    """
    written: list[list[int]] = [[] for _ in prompt]
    found: list[list[float]] = [[] for _ in prompt]
    ended = [False] * len(prompt)
    alive = list(range(len(prompt)))
    tokens = prompt
    while alive:
        scores = scorer(tokens)
        if temperature > 0:
            chosen = torch.multinomial(torch.softmax(scores / temperature, dim=-1), 1, generator=generator)
        else:
            chosen = scores.argmax(dim=-1, keepdim=True)
        values = scores.gather(1, chosen)[:, 0].tolist()
        going_on = []
        for place, (row, token, value) in enumerate(zip(alive, chosen[:, 0].tolist(), values, strict=True)):
            found[row].append(value)
            if token == end:
                ended[row] = True
                continue
            written[row].append(token)
            if len(written[row]) < limits[row]:
                going_on.append(place)
        if len(going_on) < len(alive):  # finished rows are not computed any more
            rows = torch.tensor(going_on, dtype=torch.int64, device=prompt.device)
            scorer.keep(rows)
            chosen = chosen[rows]
        alive = [alive[place] for place in going_on]
        tokens = chosen
    return [Written(tuple(row), tuple(some), over) for row, some, over in zip(written, found, ended, strict=True)]


def beam_search(
    scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int], beams: int, keep: int | None = None
) -> list[Written]:
    """The sequence with the highest mean log-probability a token among those that `beams` hypotheses lead to.

    A row is finished when `keep` (by default `beams`) of its hypotheses have ended, or at its limit.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        beams: hypotheses followed at once.
    """
    wanted = keep or beams
    finished: list[list[Written]] = [[] for _ in prompt]
    #: The unfinished hypotheses of each row that is not finished, the most likely first.
    alive: dict[int, list[_Hypothesis]] = {row: [_Hypothesis((), (), 0.0)] for row in range(len(prompt))}
    tokens = prompt
    while alive:
        scores = scorer(tokens)
        values, numbers = (item.tolist() for item in scores.topk(min(beams + 1, scores.shape[1]), dim=-1))
        following: dict[int, list[_Hypothesis]] = {}
        origins: list[int] = []
        begin = 0
        for row, hypotheses in alive.items():
            candidates = [
                (hypothesis.total + value, place, token, value)
                for place, hypothesis in enumerate(hypotheses)
                for value, token in zip(values[begin + place], numbers[begin + place], strict=True)
            ]
            longer, places = [], []
            for total, place, token, value in sorted(candidates, reverse=True):
                before = hypotheses[place]
                log_probabilities = (*before.log_probabilities, value)
                if token == end:
                    finished[row].append(Written(before.tokens, log_probabilities, ended=True))
                else:
                    longer.append(_Hypothesis((*before.tokens, token), log_probabilities, total))
                    places.append(begin + place)
                if len(longer) == beams:
                    break
            if len(finished[row]) < wanted and len(longer[0].tokens) < limits[row]:
                following[row] = longer
                origins += places
            elif not finished[row]:
                finished[row] = [Written(one.tokens, one.log_probabilities, ended=False) for one in longer]
            begin += len(hypotheses)
        alive = following
        if alive:
            scorer.keep(torch.tensor(origins, dtype=torch.int64, device=prompt.device))
            last = [one.tokens[-1] for hypotheses in alive.values() for one in hypotheses]
            tokens = torch.tensor(last, dtype=torch.int64, device=prompt.device)[:, None]
    return [max(found, key=lambda item: item.mean_log_probability) for found in finished]
