"""Whole short runs with every preset, and with what plans add: nothing frozen moves, and a run resumed is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import load_file

import speechxfer as sx
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError
from speechxfer.opening import open_checkpoint
from speechxfer.transfer.presets import PRESETS
from tests.conftest import tone
from tests.training.conftest import Runs, interrupted

ONE_EPOCH = {"training": {"epochs": 1, "batch_seconds": 8.0}}
NOISY = {"training": {"epochs": 2, "batch_seconds": 8.0, "speed_copies": 1}, "augment": {"mask_time_prob": 0.1}}


@pytest.fixture
def runs(runs: Runs, saved: Callable[[str], Path]) -> Runs:
    """On a wav2vec2 of three layers."""
    runs.base["model"] = str(saved("wav2vec2"))
    runs.base["plan"] = {}
    return runs


@pytest.fixture
def classes(tmp_path: Path) -> dict[str, Any]:
    """Tones, and which letter they are."""
    manifests = {}
    for name, letters in (("train", "abc" * 4), ("dev", "abc")):
        lines = []
        for number, letter in enumerate(letters):
            soundfile.write(tmp_path / f"{name}{number}.wav", tone(letter * 2), 16_000)
            lines.append(json.dumps({"audio": f"{name}{number}.wav", "label": letter}))
        manifests[name] = tmp_path / f"{name}.jsonl"
        manifests[name].write_text("\n".join(lines) + "\n")
    return {"head": "classification", **{name: str(path) for name, path in manifests.items()}}


def moved(runs: Runs, name: str) -> set[str]:
    """Parts of the encoder whose weights are not the checkpoint's any more."""
    before = open_checkpoint(find(runs.base["model"])).encoder.state_dict()
    after = sx.load(str(runs.folder / name / "model"), device="cpu").encoder.state_dict()
    keys = {key for key, value in after.items() if not torch.equal(before[key], value)}
    parts = ("feature_extractor", "layers.0", "layers.1", "layers.2")
    return {next((part for part in parts if part in key), "entry") for key in keys}


MOVES: dict[str, set[str]] = {
    "feature-extraction": set(),
    "fine-tune-top": {"layers.2"},
    "fine-tune": {"entry", "layers.0", "layers.1", "layers.2"},
    "lower-layers": {"entry", "layers.0"},  # the only layer that is left
    "lora": {"layers.0", "layers.1", "layers.2"},
    "from-scratch": {"feature_extractor", "entry", "layers.0", "layers.1", "layers.2"},
}


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_moves_what_it_says_and_nothing_else(runs: Runs, preset: str) -> None:
    runs.run("run", ONE_EPOCH, {"plan": {"preset": preset}})
    assert moved(runs, "run") == MOVES[preset]
    plan = json.loads((runs.folder / "run" / "plan.json").read_text())
    assert 0 < plan["trained"] <= plan["total"]
    assert sx.load(str(runs.folder / "run" / "model"), device="cpu").transcribe(tone("a"), sample_rate=16_000)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_works_with_classes(runs: Runs, classes: dict[str, Any], preset: str) -> None:
    runs.run("run", ONE_EPOCH, classes, {"plan": {"preset": preset}, "training": {"batch_seconds": 2.0}})
    assert moved(runs, "run") == MOVES[preset]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.slow
def test_every_preset_works_with_whisper_s_decoder(runs: Runs, spelling_whisper: Path, preset: str) -> None:
    runs.run("run", ONE_EPOCH, {"model": str(spelling_whisper), "head": "seq2seq", "plan": {"preset": preset}})
    folder = runs.folder / "run" / "model"
    assert (folder / "adapter").is_dir() == (preset == "lora")
    assert sx.load(str(folder), device="cpu").transcribe(tone("a"), sample_rate=16_000)
    before, after = load_file(spelling_whisper / "model.safetensors"), load_file(folder / "model.safetensors")
    embedding = "model.decoder.embed_tokens.weight"
    assert torch.equal(before[embedding], after[embedding]) == (preset != "from-scratch")


PLANS: dict[str, dict[str, Any]] = {
    "lora": {"preset": "lora", "unfreeze_every": 1},
    "decay": {"layer_decay": 0.5, "unfreeze_at": "1@2", "freeze_frontend": False},
    "weighted": {"weighted_layer_sum": True, "train_top": 1},
    "new layers": {"drop_top": 1, "reinit_top": 1, "freeze_below": 1},
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.slow
def test_a_run_that_is_interrupted_and_resumed_is_the_same(runs: Runs, name: str) -> None:
    layers = (NOISY, {"plan": PLANS[name]})
    runs.run("whole", *layers)
    interrupted(runs, "torn", 3, *layers)
    runs.run("torn", *layers, resume=True)
    assert runs.metrics("torn") == runs.metrics("whole")
    weights = [load_file(runs.folder / run / "model" / "model.safetensors") for run in ("torn", "whole")]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.slow
def test_kept_states_give_the_losses_of_computed_ones(runs: Runs, name: str) -> None:
    for place in ("off", "memory", "disk"):
        runs.run(place, NOISY, {"plan": PLANS[name], "training": {"cache": place, "cache_dtype": "float32"}})
    for place in ("memory", "disk"):
        assert runs.losses(place) == pytest.approx(runs.losses("off"), abs=1e-4)


def test_the_weights_of_the_layers_are_learned_over_a_frozen_encoder(runs: Runs, classes: dict[str, Any]) -> None:
    layers = {"plan": {"preset": "feature-extraction", "weighted_layer_sum": True, "head_lr": 0.1}}
    runs.run("run", classes, layers, {"training": {"epochs": 3, "batch_seconds": 4.0}})
    model = sx.load(str(runs.folder / "run" / "model"), device="cpu")
    weights = model.head.layer_sum.weights.detach()
    assert len(weights) == 4
    assert float(weights.std()) > 1e-3
    assert not moved(runs, "run")


@pytest.mark.slow
def test_a_small_adapter_learns_what_was_said(runs: Runs, whisper_folder: Path) -> None:
    """With random layers below; only adapters and the head move."""
    wanted = {"preset": "lora", "lora_feed_forward": True, "encoder_lr": 3e-2, "head_lr": 3e-2}
    settings = {"training": {"epochs": 6, "batch_seconds": 2.0, "dropout": 0.0}, "augment": {"mask_time_prob": 0.0}}
    runs.run("run", {"model": str(whisper_folder), "plan": wanted}, settings)
    losses = runs.losses("run")
    assert losses[-1] < losses[0] / 2


@pytest.mark.slow
def test_a_head_that_reads_other_layers_begins_anew(runs: Runs) -> None:
    runs.run("first", ONE_EPOCH, {"plan": {"train_top": 1}})
    adapted = {"model": str(runs.folder / "first" / "model")}
    assert "which is kept" in runs.run("kept", ONE_EPOCH, adapted, {"plan": {"train_top": 1}})
    assert "which is kept" not in runs.run("dropped", ONE_EPOCH, adapted, {"plan": {"preset": "lower-layers"}})


def test_a_decoder_reads_the_last_layer_only(runs: Runs, spelling_whisper: Path) -> None:
    settings = {"model": str(spelling_whisper), "head": "seq2seq", "plan": {"weighted_layer_sum": True}}
    with pytest.raises(ConfigError, match="Whisper's decoder reads the last layer only"):
        runs.run("run", ONE_EPOCH, settings)


def test_pooled_frames_and_a_sum_of_layers_exclude_each_other(runs: Runs) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        runs.run("run", ONE_EPOCH, {"plan": {"weighted_layer_sum": True, "train_top": 1}, "pooling": {"stride": 2}})


def test_layers_that_would_wake_after_the_end_are_named(runs: Runs) -> None:
    messages = runs.run("run", ONE_EPOCH, {"plan": {"unfreeze_at": "2@1, 1@2"}})
    assert "the run has 1 epochs, so these are never trained: layer 1" in messages


@pytest.mark.slow
def test_learned_pooling_is_trained_beside_adapters(runs: Runs) -> None:
    runs.run(
        "run", ONE_EPOCH, {"plan": {"preset": "lora", "train_top": 1}, "pooling": {"stride": 2, "kind": "learned"}}
    )
    weight = sx.load(str(runs.folder / "run" / "model"), device="cpu").encoder.pooling.weight.detach()
    assert not torch.equal(weight, torch.eye(len(weight)).repeat(1, 2) / 2)
