"""Moonshine in 60,000 parameters, as `transformers` saves it; kernels, strides and tokens are the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from torch import Tensor
from transformers import MoonshineConfig, MoonshineForConditionalGeneration, Wav2Vec2FeatureExtractor

from tests.families.tiny import Tiny

#: As the published one: the waveform itself, with a mask of what is padded.
EXTRACTOR = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
#: Special tokens, the bytes of some letters, and pieces: the letters of the language of tones among them.
BYTES = [f"<0x{byte:02X}>" for byte in sorted(set("öäü漢字".encode()))]
SYLLABLES = [f"{first}{second}" for first in "bcdfgklmnp" for second in "aeiou"]
NAMES = ["<unk>", "<s>", "</s>", *BYTES, "▁", *"abcdeht", "th", "the", "▁the", *SYLLABLES]
MERGES = [("t", "h"), ("th", "e"), ("▁", "the")]
SPECIAL = "<<ST_0>>"
SIZE = len(NAMES) + 1
START, END = 1, 2
CONFIG: dict[str, Any] = {
    "vocab_size": SIZE, "hidden_size": 32, "intermediate_size": 48, "encoder_num_hidden_layers": 3,
    "decoder_num_hidden_layers": 2, "encoder_num_attention_heads": 2, "decoder_num_attention_heads": 2,
    "partial_rotary_factor": 0.62, "max_position_embeddings": 40, "pad_token_id": END,
}  # fmt: skip


def tokenizer() -> Tokenizer:
    """Pieces with the bytes of what they cannot spell, as Moonshine's."""
    vocabulary = {name: number for number, name in enumerate(NAMES)}
    made = Tokenizer(models.BPE(vocabulary, MERGES, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    space = decoders.Replace("▁", " ")
    made.decoder = decoders.Sequence([space, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    made.add_special_tokens([AddedToken(name, special=True) for name in ("<unk>", "<s>", "</s>", SPECIAL)])
    return made


def moonshine(*, scale: float = 4.0, **config: Any) -> Any:
    """The original with random weights, at a scale where differences are visible."""
    torch.manual_seed(0)
    model = MoonshineForConditionalGeneration(MoonshineConfig(**{**CONFIG, **config})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale if parameter.ndim > 1 else 1.0)
    return model


def save(model: Any, folder: Path) -> None:
    """With the files that stand beside published weights."""
    model.save_pretrained(folder)
    EXTRACTOR.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))


def states(model: Any, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    inputs = EXTRACTOR(list(waveforms), sampling_rate=16_000, padding=True, return_tensors="pt")
    found = model.model.encoder(inputs.input_values, attention_mask=inputs.attention_mask).last_hidden_state
    frames = [model._get_feat_extract_output_lengths(len(waveform)) for waveform in waveforms]
    return [row[:count] for row, count in zip(found, frames, strict=True)]


#: The norm's statistics are those of the whole padded batch, whatever the mask says.
MODELS = [Tiny("moonshine", moonshine, save, states, (1.4, 1.4))]
