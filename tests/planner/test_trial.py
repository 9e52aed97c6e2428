"""Costs are measured on the trainer's own step, with the settings of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import PlanConfig, build
from speechxfer.planner.trial import Bench
from speechxfer.training.step import TrainStep


@pytest.fixture
def config(spoken: dict[str, Path], whisper_folder: Path, tmp_path: Path) -> sx.FinetuneConfig:
    manifests = {name: str(path) for name, path in spoken.items()} | {"output": "run"}
    training = {"epochs": 1, "batch_seconds": 4.0, "cache_dir": str(tmp_path / "cache")}
    return build(sx.FinetuneConfig, {"model": str(whisper_folder), "device": "cpu", "training": training, **manifests})


def cost(config: sx.FinetuneConfig, folder: Path) -> Any:
    train, dev = (sx.Manifest.read(path).with_durations() for path in (config.train, config.dev))
    return Bench(config, train, dev, folder).cost(replace(config, plan=PlanConfig(preset="fine-tune")))


def test_recomputed_activations_are_not_counted(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    recomputing = replace(config, training=replace(config.training, gradient_checkpointing=True))
    assert cost(recomputing, tmp_path).memory < cost(config, tmp_path).memory


def test_a_step_that_runs_out_of_memory_is_timed_in_pieces(
    config: sx.FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = TrainStep.loss
    sizes = []

    def short_of_memory(step: TrainStep, batch: Any) -> Any:
        sizes.append(len(batch.indices))
        if len(batch.indices) > 4:
            raise MemoryError
        return real(step, batch)

    monkeypatch.setattr(TrainStep, "loss", short_of_memory)
    found = cost(config, tmp_path)
    assert max(sizes) > 4 >= sizes[-1]
    assert found.once_s > 0
    assert found.epoch_s > 0
