"""Settings that had another name before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Old name of a setting -> its name now.
RENAMED = {
    "plan.wake": "plan.unfreeze_at",  # codespell:ignore wake
    "plan.head_first": "plan.head_only_ratio",
    "plan.weighted_layers": "plan.weighted_layer_sum",
    "training.batch_s": "training.batch_seconds",
    "training.device_batch_s": "training.device_batch_seconds",
    "training.warmup": "training.warmup_ratio",
    "training.clip_norm": "training.max_grad_norm",
    "training.recompute": "training.gradient_checkpointing",
    "augment.time_share": "augment.mask_time_prob",
    "augment.time_frames": "augment.mask_time_length",
    "augment.channel_share": "augment.mask_feature_prob",
    "augment.channel_span_percent": "augment.mask_feature_length_percent",
    "augment.warp": "augment.frequency_warp",
    "text.scored_by": "text.scoring_normalizer",
    "text.vocabulary": "ctc.vocabulary",
    "text.ignore_unknown": "ctc.ignore_unknown",
    "classes.pooling": "classification.pooling",
    "classes.weighted": "classification.class_weights",
    "classes.label_smoothing": "classification.label_smoothing",
    "classes.multi_label": "classification.multi_label",
    "seq2seq.language": "language",
    "seq2seq.timestamp_share": "seq2seq.timestamp_ratio",
    "seq2seq.nothing_share": "seq2seq.non_speech_ratio",
    "encoder.pad_to_30s": "whisper.pad_to_30s",
    "retention.replay_share": "retention.replay_ratio",
}


def renamed_setting(name: str, value: Any) -> tuple[str, str] | None:
    """The old and the new name of a setting that was renamed; of a group, those of the first such setting in it."""
    old = (f"{name}.{key}" for key in value) if isinstance(value, Mapping) else (name,)
    return next(((one, RENAMED[one]) for one in old if one in RENAMED), None)


def renamed_option(option: str) -> str | None:
    """The name that a command-line option has now: `--time-share` set `augment.time_share`."""
    return {_option(old): _option(new) for old, new in RENAMED.items()}.get(option)


def _option(setting: str) -> str:
    return "--" + setting.rpartition(".")[2].replace("_", "-")
