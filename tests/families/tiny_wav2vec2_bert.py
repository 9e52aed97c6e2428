"""w2v-BERT 2.0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import SeamlessM4TFeatureExtractor

from tests.families.tiny import Tiny, visible

CONFIG = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_depthwise_kernel_size": 7, "left_max_position_embeddings": 6, "right_max_position_embeddings": 3,
    "layerdrop": 0.0, "conformer_conv_dropout": 0.0, "apply_spec_augment": False, "vocab_size": 7,
}  # fmt: skip


def build(head: str = "Model", **changes: Any) -> Any:
    torch.manual_seed(0)  # the same in every call
    model = visible(
        getattr(transformers, f"Wav2Vec2Bert{head}")(transformers.Wav2Vec2BertConfig(**{**CONFIG, **changes}))
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "distance_embedding" in name or "linear_q" in name:
                parameter.normal_()  # so that distances decide what is attended to
    return model


def extracted(*waveforms: np.ndarray) -> dict[str, Tensor]:
    """What the library's own extractor makes of waveforms."""
    return dict(SeamlessM4TFeatureExtractor()(list(waveforms), sampling_rate=16_000, return_tensors="pt"))


def save(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    SeamlessM4TFeatureExtractor().save_pretrained(folder)


def states(model: Any, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    inputs = extracted(*waveforms)
    frames = inputs["attention_mask"].sum(1).tolist()
    return [row[:count] for row, count in zip(model(**inputs).last_hidden_state, frames, strict=True)]


MODELS = [Tiny("wav2vec2-bert", build, save, states, (1e-6, 1e-6))]
