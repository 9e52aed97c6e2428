"""Successive halving on made-up candidates: the best is found, the time is kept, the unlikely go without first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from speechxfer.planner.halving import Outcome, affordable, num_rounds, ranked, successive_halving


@dataclass(frozen=True)
class Price:
    once_s: float
    epoch_s: float


class Bench:
    """Candidates whose error falls towards what they are worth; trials cost what they are said to, or more."""

    def __init__(self, worth: dict[str, float], price: Price, *, dearer: float = 1.0) -> None:
        self.worth, self.price, self.dearer, self.now = worth, price, dearer, 0.0
        self.held: list[tuple[str, int]] = []

    def trial(self, name: str, epochs: int) -> Outcome:
        seconds = self.dearer * (self.price.once_s + epochs * self.price.epoch_s)
        self.now += seconds
        self.held.append((name, epochs))
        error = self.worth[name] + 0.4 / epochs
        return Outcome(epochs, error, error, seconds)

    def run(self, budget_s: float, most_epochs: int = 20) -> list[dict[str, Outcome]]:
        return successive_halving(
            list(self.worth), lambda _: self.price, self.trial,
            most_epochs=most_epochs, budget_s=budget_s, clock=lambda: self.now,
        )  # fmt: skip


def test_the_best_of_nine_is_found_in_the_time() -> None:
    bench = Bench({name: 0.1 * place for place, name in enumerate("ihgfedcba")}, Price(1.0, 1.0))
    rounds = bench.run(100.0)
    assert [len(held) for held in rounds] == [9, 3]
    assert set(rounds[1]) == set("ihg")
    assert ranked(rounds[-1])[0] == "i"
    assert bench.now <= 100.0
    epochs = [next(iter(held.values())).epochs for held in rounds]
    assert epochs[1] > 3 * epochs[0]


def test_nobody_is_trained_longer_than_a_whole_run() -> None:
    bench = Bench({"a": 0.1, "b": 0.2}, Price(0.0, 1.0))
    rounds = bench.run(1000.0, most_epochs=5)
    assert bench.held == [("a", 5), ("b", 5)]
    assert len(rounds) == 1


def test_where_time_is_short_the_unlikely_go_without() -> None:
    bench = Bench(dict.fromkeys("abcdef", 0.2), Price(0.0, 10.0))
    bench.run(50.0)
    assert [name for name, _ in bench.held][:2] == ["a", "b"]
    assert "f" not in dict(bench.held)
    assert bench.now <= 50.0


def test_no_trial_is_begun_that_would_exceed_the_budget() -> None:
    bench = Bench(dict.fromkeys("abc", 0.2), Price(0.0, 1.0), dearer=3.0)
    (held,) = bench.run(30.0)
    assert set(held) == {"a"}  # it took three times as long as was thought


def test_nothing_is_tried_without_time_for_an_epoch() -> None:
    assert Bench({"a": 0.2}, Price(5.0, 1.0)).run(5.5) == []


def test_rounds() -> None:
    assert [num_rounds(count) for count in (1, 3, 4, 9, 10)] == [1, 1, 2, 2, 3]


def test_what_is_too_expensive_makes_room_for_the_next() -> None:
    prices = {"likely": Price(0.0, 4.0), "dear": Price(0.0, 100.0), "cheap": Price(0.0, 1.0)}
    assert affordable(list(prices), prices.__getitem__, 2, 12.0) == ["likely", "cheap"]
    assert affordable(list(prices), prices.__getitem__, 2, 1.0) == ["cheap"]


@pytest.mark.parametrize(
    ("outcomes", "best"),
    [
        # Writing anything has the lower error rate, but the lower loss has learned more.
        ({"noise": (0.75, 5.0), "blank": (0.99, 3.0)}, "blank"),
        ({"good": (0.3, 1.5), "sure": (0.4, 0.9)}, "good"),
        ({"astray": (math.inf, math.inf), "bad": (1.4, 9.0)}, "bad"),
    ],
)
def test_errors_decide_once_something_is_learned(outcomes: dict[str, tuple[float, float]], best: str) -> None:
    assert ranked({name: Outcome(1, *values, 1.0) for name, values in outcomes.items()})[0] == best
