"""Successive halving: short trials of many candidates, then longer ones of the best, within a budget of time.

Karnin, Koren and Somekh (2013); for hyper-parameters Jamieson and Talwalkar (2016, Non-stochastic best arm
identification and hyperparameter optimization), as in Hyperband's inner loop (Li et al., 2018). Independent of what
a trial is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

#: One of this many candidates is kept for the next round.
KEPT_OF = 3


class Price(Protocol):
    """Seconds that a candidate's trial costs."""

    @property
    def once_s(self) -> float:
        """Fixed seconds of a trial."""

    @property
    def epoch_s(self) -> float:
        """Seconds of each epoch."""


@dataclass(frozen=True)
class Outcome:
    """The result of one trial; a diverged trial has an infinite loss."""

    epochs: int
    #: On dev after the last epoch: the character error rate, or the fraction of utterances with a wrong class.
    error: float
    #: Mean loss per label on dev.
    loss: float
    seconds: float


#: While all errors are above this, the loss tells candidates apart better: a CTC head that has learned nothing writes
#: nothing or anything, and anything has the lower error rate.
_HARDLY_LEARNED = 0.5
Name = TypeVar("Name")


def ranked(outcomes: dict[Name, Outcome]) -> list[Name]:
    """The best first: by error, or by loss while no candidate has learned much."""
    early = all(outcome.error > _HARDLY_LEARNED for outcome in outcomes.values())

    def rank(name: Name) -> tuple[float, float]:
        one = outcomes[name]
        lost = not math.isfinite(one.loss)
        return (math.inf if lost else one.loss if early else one.error, one.loss)

    return sorted(outcomes, key=rank)


def num_rounds(count: int) -> int:
    """Rounds until one of `count` candidates is left; at least one."""
    rounds = 1
    while count > KEPT_OF:
        count, rounds = math.ceil(count / KEPT_OF), rounds + 1
    return rounds


def affordable(names: Sequence[Name], price: Callable[[Name], Price], least_epochs: int, budget_s: float) -> list[Name]:
    """Those that can have a first trial of so many epochs, as many as there is time for; at least the cheapest.

    Names stand in the order in which they are expected to do well; what is too expensive makes room for the next.
    """
    kept: list[Name] = []
    for name in names:
        if trials_s([*kept, name], price, least_epochs) <= budget_s / num_rounds(len(kept) + 1):
            kept.append(name)
    return kept or [min(names, key=lambda name: trials_s([name], price, least_epochs))]


def trials_s(names: Sequence[Name], price: Callable[[Name], Price], epochs: int) -> float:
    """Seconds of one trial of each."""
    return sum(price(name).once_s + epochs * price(name).epoch_s for name in names)


def most_affordable(names: Sequence[Name], price: Callable[[Name], Price], most_epochs: int, share_s: float) -> int:
    """Epochs that a trial of each may have within so many seconds; 0 where not even one fits."""
    once, epoch = trials_s(names, price, 0), sum(price(name).epoch_s for name in names)
    return max(0, min(most_epochs, int((share_s - once) / epoch))) if epoch else most_epochs


def successive_halving(
    names: Sequence[Name],
    price: Callable[[Name], Price],
    trial: Callable[[Name, int], Outcome],
    *,
    most_epochs: int,
    budget_s: float,
    clock: Callable[[], float],
    rank: Callable[[dict[Name, Outcome]], list[Name]] = ranked,
) -> list[dict[Name, Outcome]]:
    """Run the rounds; returns the outcomes of each. The best of the last round is the winner.

    Every round gets an equal part of the time left, and its candidates train for the same number of epochs. If there
    is no time for all, the least promising are dropped; no trial is started that would exceed the budget.

    Args:
        names: most promising first.
        price: called before every round, so that it can return measured costs.
        trial: a complete run of a candidate with this number of epochs.
        most_epochs: of a whole run.
        clock: current time in seconds.
        rank: sorts names, best first.
    """
    end = clock() + budget_s
    alive, held = list(names), []
    while alive:
        share = (end - clock()) / num_rounds(len(alive))
        while (epochs := most_affordable(alive, price, most_epochs, share)) < 1 and len(alive) > 1:
            alive.pop()
        if epochs < 1:
            break
        outcomes: dict[Name, Outcome] = {}
        for name in alive:
            if outcomes and clock() + trials_s([name], price, epochs) > end:
                break
            outcomes[name] = trial(name, epochs)
        held.append(outcomes)
        if len(outcomes) == 1 or epochs == most_epochs or num_rounds(len(alive)) == 1:
            break
        alive = rank(outcomes)[: math.ceil(len(alive) / KEPT_OF)]
    return held
