"""The file of whisper.cpp: a Whisper's settings, mel filters, tokens and weights, one after the other.

All numbers are little-endian. A tensor has its number of dimensions, the length of its name, its type, its dimensions
from the last to the first, its name, and its values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import ConfigError
from speechxfer.export import ExportTarget
from speechxfer.export.decoder import LANGUAGE, WANTED, decoder_of, encoder_of, token_bytes
from speechxfer.export.gate import Answer, Compute, Conversion
from speechxfer.model import SpeechModel

FILE = "ggml-model.bin"
_MAGIC = 0x67676D6C
#: Numbers that whisper.cpp takes special tokens for are functions of the size of the vocabulary, which has to be one of
#: those of published models.
_VOCABULARIES = (51_864, 51_865, 51_866)
#: What a file's weights are called in its header, and the type of a tensor: F32, F16, Q8_0, Q5_0. Version 2 of
#: quantization counts as thousands. There is no float32, for whisper.cpp computes no convolutions of it.
_FILE_TYPES = {"float16": 1, "int8": 2007, "q5_0": 2008}
_F32, _F16, _Q8_0, _Q5_0 = 0, 1, 8, 6
#: Values that share a scale.
_BLOCK = 32
#: What layers' weights are called there.
_LAYERS = {
    "self_attn.": "attn.", "encoder_attn.": "cross_attn.", "self_attn_layer_norm.": "attn_ln.",
    "encoder_attn_layer_norm.": "cross_attn_ln.", "fc1.": "mlp.0.", "fc2.": "mlp.2.", "final_layer_norm.": "mlp_ln.",
}  # fmt: skip
_PROJECTIONS = {"q_proj.": "query.", "k_proj.": "key.", "v_proj.": "value.", "out_proj.": "out."}
_OTHERS = {
    "encoder.layer_norm.": "encoder.ln_post.", "decoder.layer_norm.": "decoder.ln.",
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
    "decoder.embed_tokens.": "decoder.token_embedding.",
}  # fmt: skip


def _write(model: SpeechModel, _: Path, folder: Path, quantization: str, _examples: Sequence[np.ndarray]) -> None:
    head, encoder = decoder_of(model), encoder_of(model)
    config, words = head.config, token_bytes(head)
    if config.vocab_size not in _VOCABULARIES:
        raise ConfigError(f"the model has {config.vocab_size} tokens, but whisper.cpp knows vocabularies of {', '.join(map(str, _VOCABULARIES))} only; take --to ctranslate2")  # fmt: skip  # noqa: E501
    if {config.encoder_ffn_dim, config.decoder_ffn_dim} != {4 * config.d_model}:
        raise ConfigError(f"the model's feed-forward layers have {config.encoder_ffn_dim} and {config.decoder_ffn_dim} units, but whisper.cpp takes four times the width, {4 * config.d_model}; take --to ctranslate2")  # fmt: skip  # noqa: E501
    filters = encoder.log_mel.mel.filters.numpy()
    numbers = (
        _MAGIC, config.vocab_size, config.max_source_positions, config.d_model, config.encoder_attention_heads,
        encoder.depth, config.max_target_positions, config.d_model, config.decoder_attention_heads,
        config.decoder_layers, config.num_mel_bins, _FILE_TYPES[quantization], *filters.shape,
    )  # fmt: skip
    with (folder / FILE).open("wb") as file:
        file.write(struct.pack(f"<{len(numbers)}I", *numbers))
        file.write(filters.astype("<f4").tobytes())
        file.write(struct.pack("<I", len(words)))
        for word in words:
            file.write(struct.pack("<I", len(word)) + word)
        for name, values in _tensors(model):
            _write_tensor(file, name, values, quantization)


def _tensors(model: SpeechModel) -> Iterator[tuple[str, np.ndarray]]:
    """All weights, as whisper.cpp calls and shapes them."""
    for part, module in (("encoder", encoder_of(model).modules_), ("decoder", decoder_of(model).decoder)):
        for name, tensor in module.state_dict().items():
            values = tensor.numpy()
            yield _name(f"{part}.{name}"), values[:, None] if name in ("conv1.bias", "conv2.bias") else values


def _name(name: str) -> str:
    part, kind, *rest = name.split(".")
    if kind != "layers":
        return next((name.replace(ours, theirs) for ours, theirs in _OTHERS.items() if name.startswith(ours)), name)
    number, inner = rest[0], ".".join(rest[1:])
    inner = next(inner.replace(ours, theirs) for ours, theirs in _LAYERS.items() if inner.startswith(ours))
    for ours, theirs in _PROJECTIONS.items():
        inner = inner.replace(ours, theirs)
    return f"{part}.blocks.{number}.{inner}"


def _write_tensor(file: BinaryIO, name: str, values: np.ndarray, quantization: str) -> None:
    kind, data = _encoded(name, values, quantization)
    shape = values.shape[::-1]
    file.write(struct.pack(f"<3I{len(shape)}I", len(shape), len(name), kind, *shape))
    file.write(name.encode())
    file.write(data)


def _encoded(name: str, values: np.ndarray, quantization: str) -> tuple[int, bytes]:
    """The type of a tensor and its bytes. Vectors and positions stay in 32 bits, convolutions in at least 16."""
    is_small = values.ndim < 2 or values.shape[1] == 1 or name.endswith("positional_embedding")
    if is_small:
        return _F32, values.astype("<f4").tobytes()
    if quantization == "float16" or values.ndim > 2 or values.shape[1] % _BLOCK:
        return _F16, values.astype("<f2").tobytes()
    blocks = values.astype("f4").reshape(-1, _BLOCK)
    return (_Q8_0, _by_8_bits(blocks)) if quantization == "int8" else (_Q5_0, _by_5_bits(blocks))


def _by_8_bits(blocks: np.ndarray) -> bytes:
    """Each block's scale and its values over it."""
    scales = (np.abs(blocks).max(axis=1, keepdims=True) / 127).astype("f4")
    numbers = np.rint(np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales > 0)).astype("i1")
    return np.hstack([scales.astype("<f2").view("u1"), numbers.view("u1")]).tobytes()


def _by_5_bits(blocks: np.ndarray) -> bytes:
    """Each block's scale, the highest bits of its values over it, and the four others, two values a byte."""
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scales = (largest / -16).astype("f4")
    over = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales != 0)
    numbers = np.clip(np.floor(over + 16.5), 0, 31).astype("u1")
    highest = np.packbits(numbers >> 4, axis=1, bitorder="little")
    low = numbers & 15
    halves = low[:, : _BLOCK // 2] | (low[:, _BLOCK // 2 :] << 4)
    return np.hstack([scales.astype("<f2").view("u1"), highest, halves]).tobytes()


def _open(model: SpeechModel, folder: Path) -> Compute:
    """By whisper.cpp, greedily and without its checks, which repeat what looks wrong."""
    from pywhispercpp.model import Model

    head = decoder_of(model)
    opened = Model(
        str(folder / FILE), redirect_whispercpp_logs_to=None, n_threads=torch.get_num_threads(),
        language=head.language or LANGUAGE, translate=head.task_token == "translate", no_timestamps=True,
        single_segment=True, no_context=True, suppress_blank=head.is_pretrained,
        suppress_nst=bool(head.config.suppress_tokens), temperature_inc=0.0,
        greedy={"best_of": 1}, print_progress=False, no_speech_thold=1.1, logprob_thold=-np.inf, entropy_thold=-1.0,
    )  # fmt: skip

    def compute(waveform: np.ndarray) -> Answer:
        return Answer(Hypothesis(" ".join(segment.text for segment in opened.transcribe(waveform))))

    return compute


GGML = ExportTarget(
    Conversion(_write, _open, packages=("pywhispercpp",), quantizations=tuple(_FILE_TYPES), language=LANGUAGE),
    heads=("seq2seq",),
    families=("whisper",),
    wanted=WANTED,
    quantization="float16",
)
