"""The public interface around the steps of a run: order, figures, stopping, resuming, errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import speechxfer as sx
from speechxfer.errors import ConfigError
from tests.docs.pages import blocks
from tests.training.conftest import RaiseAt, Runs

SHORT: dict[str, Any] = {"training": {"epochs": 2}}


class Recorder(sx.Callback):
    """Writes down which hook was called at which epoch and step."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def on_begin(self, state: sx.TrainingState) -> None:
        self.calls.append(("begin", state.epoch, state.step))

    def on_epoch_begin(self, state: sx.TrainingState) -> None:
        self.calls.append(("epoch_begin", state.epoch, state.step))

    def on_step_end(self, state: sx.TrainingState) -> None:
        self.calls.append(("step_end", state.epoch, state.step))

    def on_figures(self, state: sx.TrainingState) -> None:
        self.calls += [("figures", state.epoch, figures.step) for figures in state.recent]

    def on_validation(self, state: sx.TrainingState) -> None:
        self.calls.append(("validation", state.epoch, state.step))

    def on_epoch_end(self, state: sx.TrainingState) -> None:
        self.calls.append(("epoch_end", state.epoch, state.step))

    def on_interrupt(self, state: sx.TrainingState) -> None:
        self.calls.append(("interrupt", state.epoch, state.step))

    def on_end(self, state: sx.TrainingState) -> None:
        self.calls.append((f"end {type(state.error).__name__}", state.epoch, state.step))


def test_hooks_are_called_in_order(runs: Runs) -> None:
    recorder = Recorder()
    runs.run("run", SHORT, callbacks=[recorder])
    ends = [0, *(line["step"] for line in runs.metrics("run"))]
    wanted: list[tuple[str, int, int]] = [("begin", 1, 0)]
    for epoch in (1, 2):
        wanted.append(("epoch_begin", epoch, ends[epoch - 1]))
        for step in range(ends[epoch - 1] + 1, ends[epoch] + 1):
            wanted += [("step_end", epoch, step), ("figures", epoch, step)]
        wanted += [("validation", epoch, ends[epoch]), ("epoch_end", epoch, ends[epoch])]
    assert recorder.calls == [*wanted, ("end NoneType", 2, ends[2])]


class Figures(sx.Callback):
    """Reads all there is to read."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[dict[str, float]] = []
        self.epochs: list[dict[str, float]] = []
        self.errors: list[float] = []
        self.best: list[int] = []
        self.logged: dict[str, list[int]] = {}

    def on_figures(self, state: sx.TrainingState) -> None:
        assert all(math.isfinite(figures.gradient_norm) and figures.utterances for figures in state.recent)
        self.losses += [figures.loss for figures in state.recent]
        self.rates.append(state.learning_rates)
        if state.step == 3:
            state.log({"my/figure": 1.0})

    def on_validation(self, state: sx.TrainingState) -> None:
        assert state.dev is not None
        assert not state.model.training
        self.errors.append(state.dev.scores.summary["wer"])
        self.best += [state.epoch] * state.is_best

    def on_epoch_end(self, state: sx.TrainingState) -> None:
        self.epochs.append(dict(state.figures))

    def on_log(self, state: sx.TrainingState, values: dict[str, float], step: int) -> None:
        for name in values:
            self.logged.setdefault(name, []).append(step)


def test_figures_can_be_read_and_logged(runs: Runs) -> None:
    seen = Figures()
    runs.run("run", SHORT, callbacks=[seen])
    lines = runs.metrics("run")
    assert len(seen.losses) == lines[-1]["step"]
    assert min(seen.losses) <= lines[0]["loss"] <= max(seen.losses)
    assert seen.rates[-1] == {"encoder": lines[-1]["encoder_rate"], "head": lines[-1]["head_rate"]}
    assert seen.rates[-1]["head"] < max(rates["head"] for rates in seen.rates)
    assert seen.errors == [line["dev_wer"] for line in lines]
    assert [line["dev_loss"] for line in seen.epochs] == [line["dev_loss"] for line in lines]
    assert seen.best[0] == 1
    assert seen.logged["my/figure"] == [3]
    assert seen.logged["dev/wer"] == [line["step"] for line in lines]


class StopAt(sx.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, state: sx.TrainingState) -> None:
        if state.step == self.step:
            state.stop("it is enough")


def test_a_callback_stops_a_run_that_can_be_resumed(runs: Runs) -> None:
    log = runs.run("run", callbacks=[StopAt(3)])
    assert "stopped after epoch 1: it is enough" in log
    (line,) = runs.metrics("run")
    assert line["step"] == 3
    assert (runs.folder / "run" / "model").is_dir()
    assert json.loads((runs.folder / "run" / "metrics.json").read_text())["steps"] == 3
    recorder = Recorder()
    runs.run("run", resume=True, callbacks=[recorder])
    assert recorder.calls[:2] == [("begin", 2, 3), ("epoch_begin", 2, 3)]
    assert len(runs.metrics("run")) == 3


class StopAtOnce(sx.Callback):
    def on_begin(self, state: sx.TrainingState) -> None:
        state.stop("not wanted")


def test_a_run_that_is_stopped_before_it_begins_takes_one_step(runs: Runs) -> None:
    with pytest.raises(sx.SpeechxferError, match=r"stopped before any weight had changed \(not wanted\)"):
        runs.run("run", callbacks=[StopAtOnce()])  # a warm-up begins at a rate of 0
    runs.run("quick", {"training": {"warmup_ratio": 0.0}}, callbacks=[StopAtOnce()])
    assert [line["step"] for line in runs.metrics("quick")] == [1]
    assert (runs.folder / "quick" / "model").is_dir()


class StopAfter(sx.Callback):
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_validation(self, state: sx.TrainingState) -> None:
        if state.epoch == self.epoch:
            state.stop()


def test_a_run_that_was_stopped_between_epochs_goes_on_exactly(runs: Runs) -> None:
    runs.run("whole")
    runs.run("run", callbacks=[StopAfter(2)])
    assert runs.metrics("run") == runs.metrics("whole")[:2]
    runs.run("run", resume=True)
    assert runs.metrics("run") == runs.metrics("whole")


class Sum(sx.Callback):
    """Adds up all losses, and survives interruptions."""

    def __init__(self) -> None:
        self.total = 0.0

    def on_figures(self, state: sx.TrainingState) -> None:
        for figures in state.recent:
            self.total += figures.loss

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total = state["total"]


def last_position(runs: Runs, name: str) -> dict[str, Any]:
    newest = max((runs.folder / name / "checkpoints").glob("step-*"))
    position: dict[str, Any] = json.loads((newest / "position.json").read_text())
    return {key: value for key, value in position.items() if key not in ("training_s", "dev_s")}


def weights(runs: Runs, name: str) -> dict[str, Any]:
    return load_file(runs.folder / name / "model" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 12])
def test_what_callbacks_remember_is_resumed_exactly(runs: Runs, step: int) -> None:
    often = {"training": {"checkpoint_minutes": 1e-9}}
    whole, first, second = (Sum(), Sum()), (Sum(), Sum()), (Sum(), Sum())
    runs.run("whole", often, callbacks=whole)
    with pytest.raises(KeyboardInterrupt):
        runs.run("run", often, callbacks=[RaiseAt(step), *first])
    runs.run("run", often, callbacks=[*second], resume=True)
    assert [one.total for one in second] == [one.total for one in whole]
    assert runs.metrics("run") == runs.metrics("whole")
    found = last_position(runs, "run")
    assert found["callbacks"]["Sum 2"] == {"total": whole[1].total}
    assert found == last_position(runs, "whole")  # the guard's memory among it


class Raising(sx.Callback):
    """Raises in one of its hooks, in the second epoch."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self._fail)

    def _fail(self, state: sx.TrainingState, *_arguments: Any) -> None:
        if state.epoch == 2:
            raise ZeroDivisionError("no such figure")


@pytest.mark.slow
@pytest.mark.parametrize(
    "hook", ["on_epoch_begin", "on_step_end", "on_figures", "on_validation", "on_epoch_end", "on_log"]
)
def test_an_error_of_a_callback_ends_the_run_as_an_interruption_does(runs: Runs, hook: str) -> None:
    runs.run("whole", SHORT)
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError, match="no such figure"):
        runs.run("run", SHORT, callbacks=[recorder, Raising(hook)])
    assert [call[0] for call in recorder.calls[-2:]] == ["interrupt", "end ZeroDivisionError"]
    runs.run("run", SHORT, resume=True)
    assert runs.metrics("run") == runs.metrics("whole")
    assert last_position(runs, "run")["callbacks"]["GuardCallback"] == last_position(runs, "whole")["callbacks"]["GuardCallback"]  # fmt: skip  # noqa: E501
    assert all((weights(runs, "run")[name] == value).all() for name, value in weights(runs, "whole").items())


class Unready(sx.Callback):
    def on_begin(self, state: sx.TrainingState) -> None:
        raise ConfigError("the callback lacks a key")


def test_an_error_before_the_first_step_leaves_the_folder_free(runs: Runs) -> None:
    with pytest.raises(ConfigError, match="lacks a key"):
        runs.run("run", callbacks=[Unready()])
    assert not (runs.folder / "run").exists()


def test_what_is_no_callback_is_named(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\[1\] is <class .*Recorder'>; wanted an instance of speechxfer"):
        runs.run("run", callbacks=[Recorder(), Recorder])  # type: ignore[list-item]
    assert not (runs.folder / "run").exists()


def test_one_callback_without_a_list_is_named(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r"callbacks is <.*Recorder object.*>; wanted a list"):
        runs.run("run", callbacks=Recorder())  # type: ignore[arg-type]


class Keeping(sx.Callback):
    def state_dict(self) -> dict[str, Any]:
        return {"paths": {Path("a")}}


def test_a_state_that_no_checkpoint_can_hold_is_named(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r"Keeping\.state_dict\(\) is no JSON \(.*set.*\); wanted a dict of plain"):
        runs.run("run", callbacks=[Keeping()])
    assert (runs.folder / "run" / "model").is_dir()


def test_the_example_of_the_docs_works(runs: Runs) -> None:
    names: dict[str, Any] = {}
    exec(blocks("docs/how-to/add-a-callback.md")[0].code, names)
    seen = Figures()
    log = runs.run("run", callbacks=[names["GoodEnough"](10.0), seen])
    assert "stopped after epoch 1: dev's word error rate is at most 1000%" in log
    assert seen.logged["my/distance"] == [runs.metrics("run")[0]["step"]]
