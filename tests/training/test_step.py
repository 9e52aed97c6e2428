"""Steps in pieces that fit, and what happens where memory runs out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.training.batch_budget import Budget
from speechxfer.training.feeding import Batch
from speechxfer.training.step import TrainStep
from tests.training.conftest import Runs

PLAIN = {"training": {"dropout": 0.0}}


def test_pieces_that_fit_a_device_change_nothing(runs: Runs) -> None:
    runs.run("whole", PLAIN)
    runs.run("pieces", PLAIN, {"training": {"device_batch_seconds": 1.5}})
    assert runs.losses("pieces") == pytest.approx(runs.losses("whole"), abs=1e-4)


def test_out_of_memory_means_smaller_pieces_and_the_same_result(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.run("whole", PLAIN)
    real = TrainStep.loss

    def short_of_memory(step: TrainStep, batch: Batch) -> torch.Tensor:
        if batch.loaded.values.shape[0] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(step, batch)

    monkeypatch.setattr(TrainStep, "loss", short_of_memory)
    log = runs.run("pieces", PLAIN)
    assert "out of memory; computing at most" in log
    assert runs.losses("pieces") == pytest.approx(runs.losses("whole"), abs=1e-4)


def test_what_does_not_fit_alone_is_left_out_and_reported_once(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TrainStep.loss

    def refusing(step: TrainStep, batch: Batch) -> torch.Tensor:
        if 7 in batch.indices:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return real(step, batch)

    monkeypatch.setattr(TrainStep, "loss", refusing)
    log = runs.run("run", PLAIN)
    assert (
        sum("train.jsonl:8: does not fit the device's memory even alone; not used" in line for line in log.messages)
        == 1
    )
    assert all(math.isfinite(loss) for loss in runs.losses("run"))


def test_an_utterance_longer_than_the_whole_budget_is_left_out_and_reported(runs: Runs) -> None:
    log = runs.run("run", {"training": {"device_batch_seconds": 0.6}})
    assert "training utterances exceed training.device_batch_seconds=0.6 on their own and are not used" in log


def test_finding_the_budget_by_trial_changes_nothing(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.run("plain")
    trials = []

    def trying(_budget: Budget, compute: Any, longest_s: float, *, spared_bytes: float) -> bool:
        compute(4 * longest_s)
        trials.append(spared_bytes)
        return False

    monkeypatch.setattr(Budget, "measure", trying)
    log = runs.run("tried")
    assert trials == [8 * sum(parameter.numel() for parameter in trained(runs))]
    assert "may not fit the device's memory even alone" in log
    assert runs.metrics("tried") == runs.metrics("plain")


def trained(runs: Runs) -> list[torch.nn.Parameter]:
    model = sx.load(str(runs.folder / "plain" / "model"))
    return [*model.encoder.layer_groups()[-1].parameters(), *model.head.parameters()]
