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
LAYER_NORM = ("wav2vec2-stable", "wav2vec2-adapters", "hubert-stable", "wavlm-stable")
#: By how much the reference moves, with the mask that its extractor gives. There is none where there is a group norm
#: over time, and the positions of data2vec-audio look beyond the end with one.
MOVES = dict.fromkeys(VARIANTS, (3.0, 3.0)) | dict.fromkeys(LAYER_NORM, (1e-6, 1e-6))


def extractor(model: Any) -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(
        return_attention_mask=getattr(model.config, "feat_extract_norm", "layer") == "layer"
    )


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
