"""The weights' moving average: what it is, and that a run is measured by it, saves it and resumes with it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import speechxfer as sx
from speechxfer.errors import ConfigError
from speechxfer.training.callbacks import moving_average
from speechxfer.training.optimizer import adamw
from tests.training.conftest import Runs, interrupted

AVERAGED: dict[str, Any] = {"training": {"ema_epochs": 1.0}}


def test_an_average_follows_the_weights_and_begins_with_the_first() -> None:
    early, late = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = adamw([{"params": [early, late], "lr": 0.1}])
    wanted = None
    for step in range(4):
        early.grad = torch.full((3,), 1.0 + step)
        late.grad = torch.ones(3) if step >= 2 else None
        optimizer.step()
        moving_average.update(optimizer, 0.5)
        wanted = early.detach().clone() if wanted is None else 0.5 * wanted + 0.5 * early.detach()
        if step == 2:
            unfrozen = late.detach().clone()
    weights = early.detach().clone()
    with moving_average.averaged(optimizer):
        torch.testing.assert_close(early.detach(), wanted)
    torch.testing.assert_close(early.detach(), weights)
    torch.testing.assert_close(optimizer.state[late]["average"], 0.5 * unfrozen + 0.5 * late.detach())


def test_weights_return_when_measuring_fails() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = adamw([{"params": [weight], "lr": 0.1}])
    weight.grad = torch.ones(2)
    for kept in (0.9, 0.9):
        optimizer.step()
        moving_average.update(optimizer, kept)
    before = weight.detach().clone()
    measured = []

    def measure() -> None:
        with moving_average.averaged(optimizer):
            measured.append(weight.detach().clone())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        measure()
    assert not torch.equal(measured[0], before)
    assert torch.equal(weight.detach(), before)


def test_the_average_is_short_at_first() -> None:
    assert moving_average.decay(0, 1000.0) == pytest.approx(0.1)
    assert moving_average.decay(10**6, 1000.0) == pytest.approx(0.999, abs=1e-5)


class Watching(sx.Callback):
    """Keeps the head's weights after every validation."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []
        self.trained: list[torch.Tensor] = []

    def on_validation(self, state: sx.TrainingState) -> None:
        self.weights.append(state.model.head.projection.weight.detach().clone())

    def on_epoch_end(self, state: sx.TrainingState) -> None:
        self.trained.append(state.model.head.projection.weight.detach().clone())


def test_training_is_the_same_and_what_is_measured_and_saved_is_the_average(runs: Runs) -> None:
    runs.run("plain")
    watching = Watching()
    runs.run("averaged", AVERAGED, callbacks=[watching])
    averages = watching.weights
    assert not torch.equal(averages[0], watching.trained[0])
    assert runs.losses("averaged") == runs.losses("plain")
    lines = runs.metrics("averaged")
    assert [line["dev_loss"] for line in lines] != [line["dev_loss"] for line in runs.metrics("plain")]
    best = min(range(len(lines)), key=lambda epoch: (lines[epoch]["dev_wer"], lines[epoch]["dev_cer"]))
    saved = load_file(runs.folder / "averaged" / "model" / "model.safetensors")
    assert any(torch.equal(tensor, averages[best]) for tensor in saved.values() if tensor.shape == averages[best].shape)


def test_an_averaged_run_goes_on_as_if_it_had_never_stopped(runs: Runs) -> None:
    runs.run("whole", AVERAGED)
    interrupted(runs, "stopped", 8, AVERAGED)
    runs.run("stopped", AVERAGED, resume=True)
    assert runs.metrics("stopped") == runs.metrics("whole")
    first, second = (load_file(runs.folder / name / "model" / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_horizon_is_not_negative(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r"training\.ema_epochs is -1.*wanted at least 0"):
        runs.config("run", {"training": {"ema_epochs": -1.0}})
