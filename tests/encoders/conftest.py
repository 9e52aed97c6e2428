"""What tests of encoders share: sound that tells utterances apart, and tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: wav2vec2 and its relatives in 30,000 parameters; kernels and strides are the real ones.
TINY = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": [16] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
#: Family and configuration of everything the family's module claims to hold.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("wav2vec2", {}),
    "wav2vec2-stable": ("wav2vec2", STABLE),
    "wav2vec2-adapters": ("wav2vec2", {**STABLE, "adapter_attn_dim": 4}),
    "hubert": ("hubert", {"feat_proj_layer_norm": False}),
    "hubert-stable": ("hubert", STABLE),
    "wavlm": ("wavlm", {}),
    "wavlm-stable": ("wavlm", STABLE),
    "data2vec-audio": ("data2vec-audio", {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5}),
}


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    loudness = 0.05 + 0.3 * np.sin(np.arange(num_samples) / 5000) ** 2
    return (0.02 + chance.standard_normal(num_samples) * loudness).astype(np.float32)


def reference(variant: str, *, head: str = "Model", **settings: Any) -> Any:
    """The original of a variant, with random weights at a scale where differences are visible."""
    import torch
    import transformers

    family, config = VARIANTS[variant]
    name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}[family]
    torch.manual_seed(0)
    made = getattr(transformers, f"{name}Config")(**{**TINY, **config, **settings})
    model = getattr(transformers, name + head)(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape) * parameter.std(correction=0).clamp(min=0.1))
    return model


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a variant, as `transformers` saves it, made once."""
    folders: dict[str, Path] = {}

    def folder(variant: str) -> Path:
        if variant not in folders:
            folders[variant] = tmp_path_factory.mktemp(variant)
            reference(variant).save_pretrained(folders[variant])
        return folders[variant]

    return folder
