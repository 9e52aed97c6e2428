"""The guard on synthetic curves: healthy runs are left in peace, each sickness is found in time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from random import Random

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.cli.finetune import finetune
from speechxfer.config import TrainingConfig
from speechxfer.training.guard import Alarm, Guard

Epoch = tuple[float, float, float]
"""Mean loss a label, dev WER, share of silent dev utterances."""


def kinds(alarms: Iterator[Alarm | None]) -> list[str]:
    return [alarm.kind for alarm in alarms if alarm]


def epochs(guard: Guard, curve: list[Epoch]) -> Iterator[Alarm | None]:
    return (guard.epoch(number, *values) for number, values in enumerate(curve, 1))


def steps(guard: Guard, norms: list[float]) -> Iterator[Alarm | None]:
    return (guard.step(number, 1.0, norm) for number, norm in enumerate(norms, 1))


#: Real runs of this package: on telephone prompts, on tones in 30 epochs (the loss jumps from 0.01 to 0.11), and one
#: that needed eight epochs to leave the blank.
REAL = {
    "prompts": [4.572, 2.943, 2.914, 2.49, 1.647, 1.208, 1.023, 0.825, 0.742, 0.622, 0.567, 0.519, 0.489, 0.46, 0.426],
    "tones": [3.531, 1.519, 0.815, 1.097, 0.384, 0.289, 0.223, 0.142, 0.101, 0.01, 0.113, 0.05, 0.084, 0.114, 0.001],
    "slow": [3.813, 1.705, 1.686, 1.666, 1.524, 1.443, 1.156, 1.149, 0.92, 0.836, 0.992, 0.785, 0.771, 0.773, 0.726],
}


@pytest.mark.parametrize("losses", REAL.values(), ids=REAL)
def test_real_healthy_runs_are_not_accused(losses: list[float]) -> None:
    curve = [(loss, min(1.0, loss), float(loss > 1.2)) for loss in losses]
    assert not kinds(epochs(Guard(), curve))


@given(
    seed=st.integers(0, 10**6),
    first=st.floats(3.0, 30.0),
    plateau=st.floats(2.0, 3.0),
    silent_epochs=st.integers(0, 10),
    rate=st.floats(0.05, 0.6),
    end=st.floats(0.0, 0.3),
    noise=st.floats(0.0, 0.05),
)
def test_a_peaky_start_and_a_quiet_end_are_healthy(
    seed: int, first: float, plateau: float, silent_epochs: int, rate: float, end: float, noise: float
) -> None:
    """CTC writes nothing at first while its loss falls quickly, then slowly; then it learns, then it stands."""
    chance = Random(seed)
    curve = [(max(first, plateau * 1.1), 1.0, 1.0)]
    curve += [(plateau * 0.99**number, 1.0, 1.0) for number in range(silent_epochs)]
    loss = curve[-1][0]
    for _ in range(40):
        loss = end + (loss - end) * (1 - rate)
        seen = loss * (1 + chance.uniform(-noise, noise))
        curve.append((seen, min(1.0, loss / 2), 0.0))
    assert not kinds(epochs(Guard(), curve))


@pytest.mark.slow
@given(
    levels=st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=4),
    noise=st.lists(st.floats(-1.5, 1.5), min_size=200, max_size=200),
    outliers=st.sets(st.integers(0, 39), max_size=20),
)
def test_noisy_falling_norms_with_single_outliers_are_healthy(
    levels: list[float], noise: list[float], outliers: set[int]
) -> None:
    levels = sorted(levels, reverse=True)
    norms = [levels[number * len(levels) // 200] * math.exp(value) for number, value in enumerate(noise)]
    for place in outliers:
        norms[5 * place] *= 1e6
    assert not kinds(steps(Guard(), norms))


def test_tiny_norms_may_vary_by_any_factor() -> None:
    assert not kinds(steps(Guard(), [1e-5] * 50 + [0.5] * 20 + [0.0] * 60 + [0.9] * 10))


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_not_a_number_is_fatal_at_once_and_names_the_lines(loss: float, norm: float) -> None:
    alarm = Guard().step(7, loss, norm, "train.jsonl:3, train.jsonl:9")
    assert alarm is not None
    assert alarm.fatal
    assert "step 7" in str(alarm)
    assert "train.jsonl:3, train.jsonl:9" in str(alarm)


@given(usual=st.floats(0.1, 100.0), factor=st.floats(60.0, 1e6), before=st.integers(20, 200))
def test_exploding_gradients_are_found_within_five_steps_and_reported_once(
    usual: float, factor: float, before: int
) -> None:
    guard = Guard()
    assert not kinds(steps(guard, [usual] * before))
    found = [guard.step(before + number, 1.0, usual * factor) for number in range(1, 101)]
    assert [number for number, alarm in enumerate(found, 1) if alarm] == [5]
    assert found[4] is not None
    assert found[4].kind == "exploding gradients"
    assert not found[4].fatal
    # They go away and come again: that is news.
    assert not kinds(steps(guard, [usual] * 10))
    assert kinds(steps(guard, [usual * factor] * 10)) == ["exploding gradients"]


def test_gradients_that_grow_by_a_fifth_every_step_are_found() -> None:
    assert kinds(steps(Guard(), [1.2**number for number in range(120)])) == ["exploding gradients"]


@given(low=st.floats(0.01, 3.0), factor=st.floats(1.51, 10.0), before=st.integers(1, 30))
def test_a_loss_that_rises_again_is_found_in_the_same_epoch(low: float, factor: float, before: int) -> None:
    guard = Guard()
    assert not kinds(epochs(guard, [(low * 0.9**-number, 0.5, 0.0) for number in reversed(range(before))]))
    high = max(low * factor, 0.51)
    alarm = guard.epoch(before + 1, high, 0.9, 0.0)
    assert alarm is not None
    assert alarm.kind == "divergence"
    assert f"was {low:.3g} in epoch {before}" in alarm.seen
    assert guard.epoch(before + 2, high, 0.9, 0.0) is None


@pytest.mark.parametrize(
    ("error", "share", "kind"), [(1.0, 1.0, "collapse to one class"), (0.97, 0.6, "plateau"), (0.0, 1.0, None)]
)
def test_classes_collapse_to_one_or_stand_still(error: float, share: float, kind: str | None) -> None:
    """Where dev holds a single class, naming it always is right."""
    guard = Guard()
    found = [guard.epoch(number, 2.3, error, share, of_classes=True) for number in range(1, 12)]
    assert [(number, alarm.kind) for number, alarm in enumerate(found, 1) if alarm] == ([(4, kind)] if kind else [])


@pytest.mark.parametrize(
    ("silent", "wer", "kind"),
    [(1.0, 1.0, "collapse to blanks"), (0.99, 1.0, "collapse to blanks"), (0.2, 1.0, "plateau")],
)
@given(loss=st.floats(0.6, 10.0), noise=st.lists(st.floats(-0.004, 0.004), min_size=10, max_size=10))
def test_standing_still_with_nothing_learned_is_found_within_four_epochs(
    silent: float, wer: float, kind: str, loss: float, noise: list[float]
) -> None:
    guard = Guard()
    curve = [(2 * loss, 1.0, 1.0), (1.2 * loss, 1.0, 1.0), *((loss * (1 + part), wer, silent) for part in noise)]
    found = list(epochs(guard, curve))
    assert [(number, alarm.kind) for number, alarm in enumerate(found, 1) if alarm] == [(6, kind)]


def test_a_converged_run_is_not_accused_however_bad_dev_is() -> None:
    assert not kinds(epochs(Guard(), [(1.0, 1.0, 0.0), *[(0.01, 1.0, 0.0)] * 20]))


def test_one_utterance_written_is_no_collapse_but_no_learning_either() -> None:
    assert kinds(epochs(Guard(), [(2.0, 0.99, 0.98)] * 6)) == ["plateau"]


@given(seed=st.integers(0, 10**6), cut=st.integers(0, 300))
def test_restored_from_json_it_goes_on_as_if_never_stopped(seed: int, cut: int) -> None:
    chance = Random(seed)
    events = [
        (chance.random() < 0.1, math.exp(chance.gauss(0, 1)) * chance.choice([1, 1, 1e4]) ** chance.choice([0, 1]))
        for _ in range(300)
    ]

    def run(guard: Guard, start: int, stop: int) -> list[str]:
        alarms = []
        for number, (is_epoch, value) in enumerate(events[start:stop], start):
            alarm = guard.epoch(number, value, 1.0, chance_of(number)) if is_epoch else guard.step(number, 1.0, value)
            alarms.append(str(alarm))
        return alarms

    def chance_of(number: int) -> float:
        return float(number // 50 % 2)

    whole, halved = Guard(), Guard()
    expected = run(whole, 0, 300)
    first = run(halved, 0, cut)
    restored = Guard(**json.loads(json.dumps(halved.state())))
    assert first + run(restored, cut, 300) == expected
    assert restored.state() == whole.state()


def test_its_state_stays_small() -> None:
    guard = Guard()
    list(steps(guard, [1.0] * 5000))
    list(epochs(guard, [(1.0, 0.5, 0.0)] * 50))
    assert len(json.dumps(guard.state())) < 2000


def test_it_advises_options_that_exist() -> None:
    options = {name for option in finetune.params if isinstance(option, click.Option) for name in option.opts}
    diverging = Guard()
    diverging.epoch(1, 1.0, 0.5, 0.0)
    alarms = [
        Guard().step(1, math.nan, 1.0),
        diverging.epoch(2, 9.0, 1.0, 0.0),
        *steps(Guard(), [1.0] * 20 + [1e3] * 5),
        *epochs(Guard(), [(2.0, 1.0, 1.0)] * 4),
        *epochs(Guard(), [(2.0, 1.0, 0.0)] * 4),
    ]
    advice = [alarm.fix for alarm in alarms if alarm]
    assert len(advice) == 5
    for fix in advice:
        assert set(re.findall(r"--[a-z-]+", fix)) <= options
        assert set(re.findall(r"training\.(\w+)", fix)) <= TrainingConfig.__dataclass_fields__.keys()
