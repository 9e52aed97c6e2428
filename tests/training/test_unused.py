"""What was given and changes nothing is reported, a line each; what counts is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from speechxfer.config import FinetuneConfig, build, merge, nested
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import find
from speechxfer.progress import Progress
from speechxfer.training.starting_point import starting_point
from speechxfer.training.unused import unused
from tests.training.conftest import Runs


def lines(runs: Runs, settings: dict[str, Any]) -> list[str]:
    config = build(FinetuneConfig, merge([{**runs.base, "output": "o"}, nested(settings)]))
    return unused(config, starting_point(config, find(config.model), Manifest.read(config.train), Progress()))


@pytest.mark.parametrize(
    ("settings", "names", "reason"),
    [
        ({"seq2seq.beams": 5}, ["seq2seq.beams"], "the head is ctc"),
        ({"language": "it"}, ["language"], "only the model card notes it"),
        ({"classification.class_weights": True}, ["classification.class_weights"], "the head is ctc"),
        ({"retention.replay_ratio": 0.4}, ["retention.replay_ratio"], "no manifest is replayed"),
        ({"retention.language": "it"}, ["retention.language"], "no manifest to retain or to replay"),
        ({"plan.train_embedding": True}, ["plan.train_embedding"], "the head is ctc"),
        ({"pooling.kind": "learned"}, ["pooling.kind"], "pooling.stride is 1"),
        (
            {"augment.mask_time_prob": 0.0, "augment.mask_time_length": 5},
            ["augment.mask_time_length"],
            "augment.mask_time_prob is 0",
        ),
        (
            {"plan.train_top": 2, "plan.head_only_ratio": 0.0, "augment.mask_feature_prob": 0.1},
            ["augment.mask_feature_prob"],
            "lower half",
        ),
        (
            {"training.cache": "off", "training.cache_dtype": "float32"},
            ["training.cache_dir", "training.cache_dtype"],
            "training.cache is off",
        ),
        (
            {"plan.train_top": 2, "plan.head_only_ratio": 0.0, "plan.freeze_frontend": False, "training.cache": "disk"},
            ["training.cache", "training.cache_dir"],
            "nothing is frozen",
        ),
        (
            {"plan.train_top": 0, "plan.unfreeze_every": 2},
            ["plan.encoder_lr", "plan.unfreeze_every"],
            "no layer of the encoder is trained",
        ),
        (
            {"plan.train_top": 0, "training.gradient_checkpointing": True, "training.dropout": 0.3},
            ["plan.encoder_lr", "training.dropout", "training.gradient_checkpointing"],
            "no layer of the encoder is trained",
        ),
        ({"plan.layer_decay": 0.5}, ["plan.layer_decay"], "only the top layer is trained"),
        ({"plan.head_only_ratio": 0.3, "training.epochs": 1}, ["plan.head_only_ratio"], "the run has one epoch"),
        ({"plan.head_top": 0}, ["plan.head_lr"], "the head is not trained"),
        ({"plan.lora_alpha": 4}, ["plan.lora_alpha"], "there are no adapters"),
    ],
)
def test_what_changes_nothing_is_named_with_its_reason(
    settings: dict[str, Any], names: list[str], reason: str, runs: Runs
) -> None:
    found = lines(runs, settings)
    assert sorted(line.partition(" is ")[0] for line in found) == names
    assert all(reason in line and "has no effect in this run" in line for line in found)


@pytest.mark.parametrize(
    "settings",
    [
        {"plan.train_top": 2, "plan.layer_decay": 0.5, "plan.unfreeze_every": 1},
        {"plan.train_top": 2, "plan.head_only_ratio": 0.3},
        {"plan.train_top": 1, "augment.mask_feature_prob": 0.2, "augment.mask_feature_length_percent": 10},
        {"pooling.stride": 2, "pooling.kind": "learned"},
        {"plan.lora_rank": 2, "plan.lora_alpha": 4, "plan.lora_feed_forward": True},
        {"training.cache": "disk", "training.cache_dtype": "float32", "training.dropout": 0.3},
        {"text.normalizer": "none", "ctc.vocabulary": "new", "ctc.ignore_unknown": True},
        {"augment.where": "spectrogram", "augment.frequency_warp": 0.1, "augment.mask_feature_prob": 0.2},
        {"plan.train_top": 0, "plan.head_lr": 0.1, "plan.encoder_lr": None},
    ],
)
def test_what_counts_is_not_named(settings: dict[str, Any], runs: Runs) -> None:
    if settings.get("plan.encoder_lr", 0) is None:
        del runs.base["plan"]["encoder_lr"]
        settings = {name: value for name, value in settings.items() if value is not None}
    assert lines(runs, settings) == []


def test_a_run_reports_it_once(runs: Runs) -> None:
    log = runs.run("run", {"seq2seq": {"beams": 5}, "training": {"epochs": 1}})
    said = [line for line in log.messages if "has no effect" in line]
    assert said == ["seq2seq.beams is 5, which has no effect in this run: the head is ctc"]


def test_a_head_that_has_learned_does_not_learn_alone_first(runs: Runs) -> None:
    runs.run("first", {"training": {"epochs": 1}})
    again = {"model": str(runs.folder / "first" / "model"), "plan.head_only_ratio": 0.3}
    assert lines(runs, again) == [
        "plan.head_only_ratio is 0.3, which has no effect in this run: the head has learned already"
    ]


def test_a_decoder_without_durations_learns_no_times(runs: Runs, spelling_whisper: Path) -> None:
    decoder = {"head": "seq2seq", "model": str(spelling_whisper), "seq2seq.timestamp_ratio": 0.5}
    assert lines(runs, decoder) == ["seq2seq.timestamp_ratio is 0.5, which has no effect in this run: the training manifest has no durations"]  # fmt: skip  # noqa: E501
    ours = {**decoder, "seq2seq.timestamp_ratio": 0.1, "ctc.ignore_unknown": True, "seq2seq.non_speech_ratio": 0.01}
    assert [line.partition(" is ")[0] for line in lines(runs, ours)] == [
        "ctc.ignore_unknown",
        "seq2seq.non_speech_ratio",
    ]
