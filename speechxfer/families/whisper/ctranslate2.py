"""Reads a CTranslate2 Whisper folder into the state dict and configuration `transformers` uses.

The format: `model.bin` is a list of named tensors behind a short header, then other names of some of them; attention
projections are fused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speechxfer.encoders.files import check_fetched
from speechxfer.errors import CheckpointError

_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class _Reader:
    """Little-endian values from a file that may end early."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = np.memmap(path, dtype=np.uint8, mode="r")
        self.position = 0

    def take(self, size: int) -> Any:
        end = self.position + size
        if end > len(self.data):
            raise CheckpointError(
                f"{self.path}: ends after {len(self.data)} bytes in the middle of a tensor; "
                "the file is truncated, fetch it again"
            )
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize(code)).tobytes())
        return int(value)

    def string(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a `model.bin` by name.

    Raises:
        CheckpointError: truncated, of another format version, not Whisper, or quantised.
    """
    check_fetched(path)
    reader = _Reader(path)
    version = reader.number("I")
    if version != 6:
        raise CheckpointError(
            f"{path}: is not a CTranslate2 model of format 6 (found {version}); convert the original again"
        )
    spec = reader.string()
    if spec != "WhisperSpec":
        raise CheckpointError(f"{path}: holds a {spec!r}, wanted a Whisper model ('WhisperSpec')")
    reader.number("I")  # the revision of the specification
    tensors = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind = reader.number("B")
        raw = reader.take(reader.number("I"))
        if kind not in _DTYPES or (kind == 1 and shape):
            raise CheckpointError(f"{path}: {name} is quantised; wanted a float16 or float32 conversion")
        tensors[name] = raw.view(_DTYPES[kind]).reshape(shape)
    for _ in range(reader.number("I")):  # tensors that are equal to another are written once
        alias, name = reader.string(), reader.string()
        tensors[alias] = tensors[name]
    return tensors


def read_whisper(folder: Path, description: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The configuration and float32 state dict of `WhisperForConditionalGeneration` for a converted folder.

    Args:
        folder: of the model.
        description: the content of its `config.json`.

    Returns:
        None where the folder was not converted.

    Raises:
        CheckpointError: see `read_tensors`.
    """
    if not (folder / "model.bin").is_file():
        return None
    tensors = read_tensors(folder / "model.bin")
    config = _config(tensors, description)
    state: dict[str, Tensor] = {}

    def put(target: str, source: str) -> None:
        for kind in ("weight", "bias"):
            state[f"{target}.{kind}"] = _tensor(tensors[f"{source}/{kind}"])

    def put_norm(target: str, source: str) -> None:
        state[f"{target}.weight"] = _tensor(tensors[f"{source}/gamma"])
        state[f"{target}.bias"] = _tensor(tensors[f"{source}/beta"])

    for name in ("conv1", "conv2"):
        put(f"model.encoder.{name}", f"encoder/{name}")
    for part, layers in (("encoder", config["encoder_layers"]), ("decoder", config["decoder_layers"])):
        positions = _tensor(tensors[f"{part}/position_encodings/encodings"])
        state[f"model.{part}.embed_positions.weight"] = positions
        put_norm(f"model.{part}.layer_norm", f"{part}/layer_norm")
        for index in range(layers):
            target, source = f"model.{part}.layers.{index}", f"{part}/layer_{index}"
            _put_attention(state, tensors, f"{target}.self_attn", f"{source}/self_attention", num_fused=1)
            put_norm(f"{target}.self_attn_layer_norm", f"{source}/self_attention/layer_norm")
            if part == "decoder":
                _put_attention(state, tensors, f"{target}.encoder_attn", f"{source}/attention", num_fused=2)
                put_norm(f"{target}.encoder_attn_layer_norm", f"{source}/attention/layer_norm")
            put(f"{target}.fc1", f"{source}/ffn/linear_0")
            put(f"{target}.fc2", f"{source}/ffn/linear_1")
            put_norm(f"{target}.final_layer_norm", f"{source}/ffn/layer_norm")
    state["model.decoder.embed_tokens.weight"] = _tensor(tensors["decoder/embeddings/weight"])
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    return config, state


def _put_attention(
    state: dict[str, Tensor], tensors: dict[str, np.ndarray], target: str, source: str, *, num_fused: int
) -> None:
    """The first `num_fused` linears are q, k and v stacked; the one after them projects the output."""

    def stacked(kind: str) -> tuple[Tensor, ...]:
        parts = [_tensor(tensors[f"{source}/linear_{index}/{kind}"]) for index in range(num_fused)]
        return torch.cat(parts).chunk(3)

    for letter, weight, bias in zip("qkv", stacked("weight"), stacked("bias"), strict=True):
        state[f"{target}.{letter}_proj.weight"] = weight.contiguous()
        if letter != "k":  # Whisper's keys have no bias; the fused tensor holds zeros in its place
            state[f"{target}.{letter}_proj.bias"] = bias.contiguous()
    for kind in ("weight", "bias"):
        state[f"{target}.out_proj.{kind}"] = _tensor(tensors[f"{source}/linear_{num_fused}/{kind}"])


def _config(tensors: dict[str, np.ndarray], converted: Mapping[str, Any]) -> dict[str, Any]:
    """A `transformers` configuration from the tensors' shapes; the token numbers follow the vocabulary's size."""
    vocab_size, width = tensors["decoder/embeddings/weight"].shape
    multilingual = vocab_size >= 51_865
    end = 50_257 if multilingual else 50_256

    def num_layers(part: str) -> int:
        return len({name.split("/")[1] for name in tensors if re.match(rf"{part}/layer_\d", name)})

    return {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "vocab_size": vocab_size,
        "d_model": width,
        "num_mel_bins": tensors["encoder/conv1/weight"].shape[1],
        "encoder_layers": num_layers("encoder"),
        "decoder_layers": num_layers("decoder"),
        "encoder_attention_heads": int(tensors["encoder/num_heads"]),
        "decoder_attention_heads": int(tensors["decoder/num_heads"]),
        "encoder_ffn_dim": len(tensors["encoder/layer_0/ffn/linear_0/bias"]),
        "decoder_ffn_dim": len(tensors["decoder/layer_0/ffn/linear_0/bias"]),
        "max_source_positions": len(tensors["encoder/position_encodings/encodings"]),
        "max_target_positions": len(tensors["decoder/position_encodings/encodings"]),
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": end + 1,
        "suppress_tokens": converted.get("suppress_ids", []),
        "begin_suppress_tokens": converted.get("suppress_ids_begin", []),
        "alignment_heads": converted.get("alignment_heads"),
    }


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
