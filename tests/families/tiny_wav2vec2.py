"""wav2vec2, HuBERT, WavLM and data2vec-audio."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor

from tests.encoders.conftest import VARIANTS, reference
from tests.families.tiny import Tiny

PLAIN = {
    "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
    "layerdrop": 0.0, "apply_spec_augment": False,
}  # fmt: skip
#: By how much the reference moves, with the mask that its extractor gives: none where there is a group norm.
MOVES = {
    "wav2vec2": (1.0, 1.0), "wav2vec2-stable": (1e-6, 1e-6), "wav2vec2-adapters": (1e-6, 1e-6), "hubert": (1.0, 1.0),
    "hubert-stable": (1e-6, 1e-6), "wavlm": (1.0, 1.0), "wavlm-stable": (1e-6, 1e-6), "data2vec-audio": (1e-6, 1e-6),
}  # fmt: skip


def extractor(model: Any) -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(return_attention_mask=model.config.feat_extract_norm == "layer")


def save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    extractor(model).save_pretrained(folder)


def states(model: Any, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    inputs = extractor(model)(list(waveforms), sampling_rate=16_000, padding=True, return_tensors="pt")
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    frames = model._get_feat_extract_output_lengths(lengths).tolist()
    return [row[:count] for row, count in zip(model(**inputs).last_hidden_state, frames, strict=True)]


MODELS = [
    Tiny(variant, functools.partial(reference, variant, **PLAIN), save, states, MOVES[variant]) for variant in VARIANTS
]
