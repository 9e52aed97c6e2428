"""Trials go on from where they were, and are measured without being changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.config import AugmentConfig, PlanConfig, build
from speechxfer.planner.racing import Horizon
from speechxfer.planner.trial import Bench, Trial
from speechxfer.training.step import TrainStep


@pytest.fixture
def config(spoken: dict[str, Path], whisper_folder: Path, tmp_path: Path) -> sx.FinetuneConfig:
    manifests = {name: str(path) for name, path in spoken.items()} | {"output": "run"}
    training = {"epochs": 4, "batch_seconds": 4.0, "dropout": 0.0}
    return build(sx.FinetuneConfig, {"model": str(whisper_folder), "device": "cpu", "training": training, **manifests})


def bench_of(config: sx.FinetuneConfig, folder: Path) -> Bench:
    return Bench(config, *(sx.Manifest.read(path).with_durations() for path in (config.train, config.dev)), folder)


def begun(config: sx.FinetuneConfig, bench: Bench, preset: str, **changes: Any) -> Trial:
    horizon = Horizon(config.training.epochs, None, bench.train.duration_s)
    plan = PlanConfig(preset=preset, **changes)
    return Trial(bench, replace(config, plan=plan), len(bench.dev), horizon.fraction)


def weights(trial: Trial) -> dict[str, torch.Tensor]:
    """What is trained, as it is now, by name."""
    return {name: one.detach().clone() for name, one in trial.start.plan.trained(trial.start.model).items()}


def test_measuring_changes_nothing(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    bench = bench_of(config, tmp_path)
    one = begun(config, bench, "fine-tune-top")
    one.advance(0.5, 12, math.inf)
    steps, before = one.steps, weights(one)
    point = one.measure(math.inf)
    assert point.fraction > 0.5 <= one.fraction
    assert math.isfinite(point.loss)
    assert point.steps > one.steps == steps
    assert all(torch.equal(weight, before[name]) for name, weight in weights(one).items())
    assert one.measure(math.inf).steps == point.steps
    one.advance(0.9, 24, math.inf)
    assert any(not torch.equal(weight, before[name]) for name, weight in weights(one).items())


def test_a_variation_begins_where_the_other_stands(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    bench = bench_of(config, tmp_path)
    one = begun(config, bench, "fine-tune-top")
    one.advance(0.5, 12, math.inf)
    varied, same = begun(config, bench, "fine-tune-top", encoder_lr=1e-2), begun(config, bench, "fine-tune-top")
    for trial in (varied, same):
        trial.take_over(one)
        assert trial.fraction == one.fraction
        assert all(torch.equal(weight, weights(one)[name]) for name, weight in weights(trial).items())
        trial.advance(0.8, 12, math.inf)
    changed = weights(varied)
    assert any(not torch.equal(weight, changed[name]) for name, weight in weights(same).items())


def test_what_is_frozen_is_computed_once_for_all_trials(
    config: sx.FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(config, tmp_path)
    begun(config, bench, "fine-tune-top").advance(0.2, 12, math.inf)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")}
    assert kept
    other = begun(config, bench, "fine-tune-top", encoder_lr=1e-3)
    other.advance(0.2, 12, math.inf)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.safetensors")} == kept
    # More of the data: only what is new.
    other.advance(0.4, 24, math.inf)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) > len(kept)


def test_a_trial_stops_where_the_time_is_over(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    now = iter(range(10_000))
    bench = bench_of(config, tmp_path)
    horizon = Horizon(config.training.epochs, None, bench.train.duration_s)
    trial = Trial(
        bench, replace(config, plan=PlanConfig(preset="fine-tune-top")), 6, horizon.fraction, lambda: next(now)
    )
    trial.advance(1.0, 24, 20.0)
    assert 0 < trial.steps < 12
    assert trial.fraction < 1.0


def test_a_trial_that_goes_astray_has_no_loss(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    wild = replace(config, training=replace(config.training, max_grad_norm=1e9))
    trial = begun(wild, bench_of(wild, tmp_path), "fine-tune", encoder_lr=0.99, head_lr=0.99)
    with torch.no_grad():
        next(iter(trial.start.plan.trained(trial.start.model).values())).fill_(math.nan)
    trial.advance(0.5, 12, math.inf)
    assert trial.is_astray
    assert trial.steps == 1
    assert math.isinf(trial.measure(math.inf).loss)


def test_what_is_trained_costs_memory(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    bench, costs = bench_of(config, tmp_path), {}
    for preset in ("feature-extraction", "fine-tune-top", "fine-tune"):
        trial = begun(config, bench, preset)
        trial.advance(0.3, 12, math.inf)
        costs[preset] = trial.cost()
    trained, memory = ([getattr(cost, name) for cost in costs.values()] for name in ("trained", "memory"))
    assert trained == sorted(trained)
    assert memory == sorted(memory)
    assert all(cost.step_s > 0 for cost in costs.values())
    whole = costs["fine-tune"]
    assert whole.memory > 4 * whole.parameters + 12 * whole.trained
    recomputing = replace(config, training=replace(config.training, gradient_checkpointing=True))
    trial = begun(recomputing, bench_of(recomputing, tmp_path / "other"), "fine-tune")
    trial.advance(0.3, 12, math.inf)
    assert trial.cost().memory < whole.memory


def test_a_trial_changes_spectrograms(config: sx.FinetuneConfig, tmp_path: Path) -> None:
    warped = replace(config, augment=AugmentConfig(where="spectrogram", frequency_warp=0.2))
    found = []
    for one in (config, warped):
        trial = begun(one, bench_of(one, tmp_path), "fine-tune-top")
        trial.advance(0.5, 24, math.inf)
        found.append(trial.measure(math.inf).loss)
    assert found[0] != found[1]


def test_a_step_that_runs_out_of_memory_is_taken_in_pieces(
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
    trial = begun(config, bench_of(config, tmp_path), "fine-tune")
    trial.advance(0.5, 24, math.inf)
    assert max(sizes) > 4 >= sizes[-1]
    assert not trial.is_astray


def test_the_rate_falls_in_proportion_to_the_steps_that_train_everything(
    config: sx.FinetuneConfig, tmp_path: Path
) -> None:
    config = replace(config, training=replace(config.training, batch_seconds=1.0, epochs=8))
    bench = bench_of(config, tmp_path)
    falling = {}
    for head_only in (0.0, 0.1):
        one = begun(config, bench, "fine-tune-top", head_only_ratio=head_only)
        one.advance(0.5, 24, math.inf)
        falling[head_only] = (one.measure(math.inf).steps - one.steps) / one.steps
    # Steps of a head alone, with which the second one began, are many times as fast as those that follow in a trial.
    assert falling[0.0] == pytest.approx(0.25, abs=0.03)
    assert falling[0.1] < 0.2
