"""Epochs of a given number of steps, and runs that end in a given time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.config import build, merge
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError
from speechxfer.runs import Allotment, RunFolder
from speechxfer.training import allotment, time_limit, timing
from speechxfer.training.checkpoint import Position
from speechxfer.training.distributed import World
from speechxfer.training.inputs import Copies, LiveInputs
from speechxfer.training.job import Job
from speechxfer.training.starting_point import StartingPoint, starting_point
from speechxfer.training.time_limit import EPOCHS, TimeLimit
from speechxfer.training.timing import StepTimer
from tests.training.conftest import Log, Runs, interrupted

FIVE = {"training": {"steps_per_epoch": 5, "epochs": 4}}
ALLOTTED = Allotment(
    given_s=1000.0, passes=0.4, dev=2, pretrained=0.0, after_s=40.0, dev_s=5.0, first_step_s=[1.0, 1.0],
    last_step_s=[1.0, 3.0],
)  # fmt: skip


def started(runs: Runs, *layers: dict[str, Any]) -> tuple[Job, StartingPoint]:
    config = build(sx.FinetuneConfig, merge([runs.base, *layers, {"output": str(runs.folder / "run")}]))
    job = Job(config, World(), Log())
    return job, starting_point(config, find(config.model), job.datasets["train"], job.progress)


def test_passes_follow_one_another_in_epochs_of_any_length(runs: Runs) -> None:
    job, start = started(runs)
    feeder = timer(job, start)._take_step.feeder
    a_pass = len(feeder.steps(Position()))
    for length in (1, 3, a_pass, 2 * a_pass + 1):
        taken, position = [], Position(steps_per_epoch=length)
        while len(taken) < 3 * a_pass:
            steps = feeder.steps(position)
            assert len(steps) == length
            taken += steps
            position.step += length
            position.next_epoch()
        for number in range(3):
            one = taken[number * a_pass : (number + 1) * a_pass]
            assert {step.data_pass for step in one} == {number}
            assert set(Counter(index for step in one for index in step.indices).values()) == {1}
        middle = replace(position, batch=length, step=position.step + length)
        assert feeder.steps(middle) == feeder.steps(position)


def timer(job: Job, start: StartingPoint) -> StepTimer:
    copies = Copies(start.train, start.model.encoder, 0, 1)
    inputs = LiveInputs(start.model.encoder, start.plan.seam, copies)
    return StepTimer(start, inputs, job.config.training, job.config.augment, torch.float32)


@pytest.mark.slow
def test_a_run_with_steps_per_epoch_is_resumed_exactly(runs: Runs) -> None:
    runs.run("whole", FIVE)
    assert [line["step"] for line in runs.metrics("whole")] == [5, 10, 15, 20]
    interrupted(runs, "broken", 13, FIVE)
    runs.run("broken", FIVE, resume=True)
    assert runs.metrics("broken") == runs.metrics("whole")


class Clock:
    """Stands for the time module."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time_limit, "time", made)
    return made


def run_of(clock: Clock, limit: TimeLimit, step_s: Callable[[int], float], dev_s: float = 5.0) -> list[int]:
    """Pretend to train; the number of steps of each epoch."""
    position, taken = Position(), []
    state: Any = SimpleNamespace(position=position, world=World(), progress=Log(), steps_in_epoch=20, stopped=None)
    state.stop = lambda reason: setattr(state, "stopped", reason)
    limit.on_begin(state)
    while position.epoch < EPOCHS and state.stopped is None:
        state.epoch = position.epoch + 1
        limit.on_epoch_begin(state)
        for _ in range(state.steps_in_epoch):
            clock.now += step_s(position.epoch)
            position.training_s += step_s(position.epoch)
            position.batch += 1
            limit.on_figures(state)
            if state.stopped:
                break
        clock.now += dev_s
        position.dev_s += dev_s
        taken.append(position.batch)
        position.next_epoch()
        limit.on_epoch_end(state)
    return taken


def limit(first_epochs: tuple[int | None, ...] = (None, 0), *, is_live: bool = False, begun: float = 0.0) -> TimeLimit:
    plan: Any = SimpleNamespace(first_epochs=first_epochs)
    return TimeLimit(ALLOTTED, begun, plan, is_live=is_live)


def test_as_measured_all_epochs_have_the_same_number_of_steps_and_the_time_is_used(clock: Clock) -> None:
    taken = run_of(clock, limit(), lambda _epoch: 3.0)
    assert len(set(taken)) == 1
    assert 900 < clock.now + ALLOTTED.after_s <= 1000


def test_what_is_computed_below_the_seam_counts_where_it_is_not_kept(clock: Clock) -> None:
    live = run_of(clock, limit(is_live=True), lambda _epoch: 4.0)
    kept = run_of(clock, limit(begun=clock.now), lambda _epoch: 3.0)
    assert live[0] < kept[0]


def test_a_head_that_is_trained_alone_first_has_cheaper_steps(clock: Clock) -> None:
    taken = run_of(clock, limit((2, 2)), lambda epoch: 1.0 if epoch < 2 else 3.0)
    assert len(set(taken)) == 1
    assert 900 < clock.now + ALLOTTED.after_s <= 1000


@pytest.mark.parametrize("slower", [0.5, 1.5, 3.0])
def test_on_a_machine_of_another_speed_the_time_is_kept(clock: Clock, slower: float) -> None:
    taken = run_of(clock, limit(), lambda _epoch: 3.0 * slower)
    assert len(taken) == EPOCHS
    assert 900 < clock.now + ALLOTTED.after_s <= 1030


def test_where_the_machine_slows_down_at_the_end_it_stops_in_the_middle_of_an_epoch(clock: Clock) -> None:
    run_of(clock, limit(), lambda epoch: 3.0 if epoch < 11 else 60.0)
    assert clock.now + ALLOTTED.after_s <= 1000 * 1.02 + 60.0


def test_time_between_two_processes_does_not_count(clock: Clock) -> None:
    before = limit()
    clock.now = 400.0
    kept = before.state_dict()
    clock.now = 9000.0
    after = limit(begun=8990.0)
    after.load_state_dict(kept)
    assert after.elapsed_s == 410.0
    after.on_begin(SimpleNamespace())  # type: ignore[arg-type]
    after.load_state_dict(kept)  # a return to an earlier checkpoint takes no time back
    assert after.elapsed_s == 410.0


def test_parts_are_timed_and_the_model_is_as_before(runs: Runs) -> None:
    job, start = started(runs, {"training": {"time": "10h"}})
    weights = {name: one.clone() for name, one in start.model.state_dict().items()}
    found = allotment.allot(job, start, None, job.datasets, has_language_model=False)
    assert (found.dev, found.pretrained) == (4, 1.0)
    assert found.passes > 1000
    assert min(*found.first_step_s, found.dev_s) > 0
    assert all(torch.equal(one, weights[name]) for name, one in start.model.state_dict().items())


def test_reading_audio_counts_and_the_first_step_does_not(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    job, start = started(runs)
    now, waveforms = [0.0], Copies.waveforms

    def slow(copies: Copies, keys: Any) -> list[Any]:
        now[0] += 1.0 if now[0] else 100.0  # the first one in a cold process
        return waveforms(copies, keys)

    monkeypatch.setattr(Copies, "waveforms", slow)
    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert timing.time_steps(start, job.config, torch.float32, 0, most_s=1.0) == (1.0, 0.0)


def test_a_time_that_is_too_short_is_refused_before_anything_is_trained(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r"training.time is '0.01s', but .* take"):
        runs.run("run", {"training": {"time": "0.01s"}})
    assert not (runs.folder / "run" / "model").exists()


@pytest.mark.slow
def test_a_run_with_a_limit_of_time_measures_what_fits_and_is_resumed_exactly(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allotment, "allot", lambda *_, **_others: ALLOTTED)
    monkeypatch.setattr(TimeLimit, "_decided", lambda *_: 2)
    timed = {"training": {"time": "1000s"}, "test": runs.base["dev"]}
    log = runs.run("whole", timed)
    assert "enough for about 40% of the training set, drawn from all of it" in log
    assert "frozen layers, train: used once each, so computed when they are needed" in log
    assert "2 of 4 utterances of dev" in log
    assert "the pre-trained model is not measured" in log
    assert f"{EPOCHS} epochs of 2 steps" in log
    lines = runs.metrics("whole")
    assert [line["step"] for line in lines] == list(range(2, 2 * EPOCHS + 1, 2))
    assert lines[-1]["head_rate"] < lines[5]["head_rate"] / 4
    assert RunFolder(runs.folder / "whole").allotment == ALLOTTED
    interrupted(runs, "broken", 13, timed)
    monkeypatch.setattr(allotment, "allot", None)  # measured once
    runs.run("broken", timed, {"training": {"time": "2000s"}}, resume=True)  # more time may be given
    assert runs.metrics("broken") == lines
    monkeypatch.setattr(allotment, "allot", lambda *_, **_others: replace(ALLOTTED, passes=3.0))
    assert "frozen layers, train: computed once" in runs.run("longer", timed)


def test_the_pretrained_model_is_measured_on_the_part_of_test_that_it_has_time_for(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run("first")
    monkeypatch.setattr(allotment, "allot", lambda *_, **_others: replace(ALLOTTED, pretrained=0.5))
    monkeypatch.setattr(TimeLimit, "_decided", lambda *_: 1)
    model = str(runs.folder / "first" / "model")
    log = runs.run("second", {"training": {"time": "1000s"}, "test": runs.base["dev"], "model": model})
    assert "measured on 2 of 4 utterances of test" in log
    assert "Test split, 2 of 4 utterances: " in log
    run = RunFolder(runs.folder / "second")
    before, after = (run.predictions("test", one) for one in ("pre-trained", "adapted"))
    assert before is not None
    assert after is not None
    ids = [one.utterance.id for one in after.in_order]
    assert [one.utterance.id for one in before.in_order] == ids[::2]
    assert run.metrics["comparison"]["utterances"] == 2
    assert "before adaptation (2 of 4 utterances)" in (run.path / "report.html").read_text()
    assert "before (2 of 4 utterances)" in (run.model / "README.md").read_text()


@pytest.mark.parametrize(("all_s", "fraction"), [(100.0, 1.0), (300.0, 0.5), (3000.0, 0.0), (0.0, 1.0)])
def test_of_a_few_utterances_the_pretrained_model_is_not_measured(all_s: float, fraction: float) -> None:
    assert allotment._pretrained(all_s, 1000.0, 40) == fraction


def test_a_limit_is_for_one_training(runs: Runs) -> None:
    with pytest.raises(ConfigError, match="compare_scratch adds another"):
        runs.run("run", {"training": {"time": "1h"}, "compare_scratch": True})
