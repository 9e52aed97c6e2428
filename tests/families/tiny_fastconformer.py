"""FastConformer below a CTC head, a transducer and attention decoders, its streaming variant, and MedASR."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from tests.families.tiny import Tiny

#: Kernels, strides and what is computed of the spectrogram are the real ones.
ENCODER = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48, "num_mel_bins": 80,
    "subsampling_conv_channels": 8, "dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0,
    "layerdrop": 0.0,
}  # fmt: skip
#: Chunks of 4 frames, each with the two before it.
STREAMING = {"sliding_window": 9, "default_num_lookahead_tokens": 3}
_TRANSDUCER = {"vocab_size": 9, "decoder_hidden_size": 8, "num_decoder_layers": 1, "blank_token_id": 8}
_DECODER = {
    "vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 16, "head_dim": 8,
}  # fmt: skip


def model(stem: str, kind: str, encoder: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """A whole model with this encoder, with weights at a scale where it tells inputs apart."""
    architecture = getattr(transformers, f"{stem}{kind}")
    torch.manual_seed(0)
    found = architecture(architecture.config_class(encoder_config=dict(encoder), **settings))
    for parameter in found.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return found.eval()


def save(extractor: Any, model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


def states(extractor: Any, model: Any, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    encoder = model.encoder if hasattr(model, "encoder") else model.model.encoder
    inputs = extractor(list(waveforms), sampling_rate=16_000, return_attention_mask=True, return_tensors="pt")
    inputs.pop("audio_chunk_index", None)
    found = encoder(**inputs, output_attention_mask=True)
    counts = found.attention_mask.sum(-1).tolist()
    return [row[:count] for row, count in zip(found.last_hidden_state, counts, strict=True)]


def tiny(
    name: str, stem: str, kind: str, moves: tuple[float, float], *, extractor: Any = None,
    encoder: Mapping[str, Any] = ENCODER, **settings: Any,
) -> Tiny:  # fmt: skip
    extractor = extractor or transformers.ParakeetFeatureExtractor()
    build = functools.partial(model, stem, kind, encoder, settings)
    return Tiny(name, build, functools.partial(save, extractor), functools.partial(states, extractor), moves)


MODELS = [
    tiny("parakeet-ctc", "Parakeet", "ForCTC", (1e-6, 1.7), vocab_size=9, pad_token_id=8),
    tiny("parakeet-tdt", "Parakeet", "ForTDT", (1e-6, 1.5), **_TRANSDUCER),
    tiny(
        "canary", "Canary", "ForConditionalGeneration", (1e-6, 2.4), encoder={**ENCODER, "scale_input": False},
        vocab_size=16, decoder_config=_DECODER,
    ),
    tiny(
        "nemotron-streaming", "NemotronAsrStreaming", "ForRNNT", (1e-6, 1e-6),
        extractor=transformers.NemotronAsrStreamingFeatureExtractor(), encoder={**ENCODER, **STREAMING}, **_TRANSDUCER,
    ),
    tiny(
        "medasr", "Lasr", "ForCTC", (1e-6, 0.9), extractor=transformers.LasrFeatureExtractor(),
        encoder={**ENCODER, "num_mel_bins": 128, "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}},
        vocab_size=9, pad_token_id=0,
    ),
]  # fmt: skip
