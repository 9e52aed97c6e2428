"""Writing a label sequence token by token: greedy, sampled, or the best of several beams. It knows no model, only a
function that scores the next token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from speechxfer.errors import ConfigError


@dataclass(frozen=True)
class Search:
    """How text is looked for.

    Raises:
        ConfigError: less than one beam.
    """

    #: Hypotheses followed at once; 1 is greedy.
    beams: int = 1
    #: Further tries, by chance, for what looks wrong after the first: what log-probabilities are divided by.
    temperatures: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    #: Words that are likely to occur: names, terms.
    context: str = ""

    def __post_init__(self) -> None:
        if self.beams < 1:
            raise ConfigError(f"beams is {self.beams}; wanted at least 1, which is greedy")


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
    #: Sum over the tokens, and over the end where that was reached.
    log_probability: float
    ended: bool

    @property
    def mean_log_probability(self) -> float:
        """A token; what sequences of different lengths are compared by."""
        return self.log_probability / (len(self.tokens) + self.ended)


def greedy(
    scorer: Scorer, prompt: Tensor, *, end: int, limits: Sequence[int], temperature: float = 0.0,
    chance: torch.Generator | None = None,
) -> list[Written]:  # fmt: skip
    """The most likely token at every step, or with a temperature one drawn by chance.

    Args:
        prompt: what is given [rows, count].
        end: the token that ends a sequence.
        limits: most tokens of each row, at least one.
        temperature: what log-probabilities are divided by before a token is drawn; 0 takes the most likely.
        chance: where the draws come from.
    """
    written: list[list[int]] = [[] for _ in prompt]
    totals, ended = [0.0] * len(prompt), [False] * len(prompt)
    alive = list(range(len(prompt)))
    tokens = prompt
    while alive:
        scores = scorer(tokens)
        if temperature > 0:
            chosen = torch.multinomial(torch.softmax(scores / temperature, dim=-1), 1, generator=chance)
        else:
            chosen = scores.argmax(dim=-1, keepdim=True)
        values = scores.gather(1, chosen)[:, 0].tolist()
        going_on = []
        for place, (row, token, value) in enumerate(zip(alive, chosen[:, 0].tolist(), values, strict=True)):
            totals[row] += value
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
    return [Written(tuple(row), total, over) for row, total, over in zip(written, totals, ended, strict=True)]


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
    #: Of each row that is alive: its hypotheses, as (tokens, log-probability).
    alive: dict[int, list[tuple[tuple[int, ...], float]]] = {row: [((), 0.0)] for row in range(len(prompt))}
    tokens = prompt
    while alive:
        scores = scorer(tokens)
        values, numbers = (item.tolist() for item in scores.topk(min(beams + 1, scores.shape[1]), dim=-1))
        following: dict[int, list[tuple[tuple[int, ...], float]]] = {}
        origins: list[int] = []
        begin = 0
        for row, hypotheses in alive.items():
            candidates = [
                (total + value, place, token)
                for place, (_, total) in enumerate(hypotheses)
                for value, token in zip(values[begin + place], numbers[begin + place], strict=True)
            ]
            longer, places = [], []
            for total, place, token in sorted(candidates, reverse=True):
                text = hypotheses[place][0]
                if token == end:
                    finished[row].append(Written(text, total, ended=True))
                else:
                    longer.append(((*text, token), total))
                    places.append(begin + place)
                if len(longer) == beams:
                    break
            if len(finished[row]) < wanted and len(longer[0][0]) < limits[row]:
                following[row] = longer
                origins += places
            elif not finished[row]:
                finished[row] = [Written(text, total, ended=False) for text, total in longer]
            begin += len(hypotheses)
        alive = following
        if alive:
            scorer.keep(torch.tensor(origins, dtype=torch.int64, device=prompt.device))
            last = [text[-1] for hypotheses in alive.values() for text, _ in hypotheses]
            tokens = torch.tensor(last, dtype=torch.int64, device=prompt.device)[:, None]
    return [max(found, key=lambda item: item.mean_log_probability) for found in finished]
