"""Whisper's encoder at 30 s, which is all that the reference takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from tests.families.tiny import Tiny, visible

CONFIG = {
    "vocab_size": 100, "d_model": 32, "num_mel_bins": 80, "encoder_layers": 3, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "max_source_positions": 1500, "max_target_positions": 32, "dropout": 0.0,
    "bos_token_id": 98, "eos_token_id": 98, "pad_token_id": 98, "decoder_start_token_id": 99,
    "suppress_tokens": [], "begin_suppress_tokens": [],
}  # fmt: skip


def build() -> Any:
    return visible(WhisperModel(WhisperConfig(**CONFIG)))


def save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)


def states(model: Any, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    features = WhisperFeatureExtractor()(list(waveforms), sampling_rate=16_000, return_tensors="pt").input_features
    # A frame for each 20 ms of the utterance; the others belong to the padding.
    frames = [(len(waveform) // 160 + 1) // 2 for waveform in waveforms]
    found = model.encoder(features).last_hidden_state
    return [row[:count] for row, count in zip(found, frames, strict=True)]


MODELS = [Tiny("whisper", build, save, states, (1e-6, 1e-6), {"pad_to_30s": True})]
