"""Moonshine's encoder; the modules are those of `transformers`.

Three convolutions turn the waveform into 41.7 frames a second, with a norm over the whole utterance; layers with rotary
positions follow. Layer index 0 is what the convolutions give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MoonshineConfig
from transformers.models.moonshine.modeling_moonshine import MoonshineEncoder as Modules
from transformers.models.moonshine.modeling_moonshine import MoonshineEncoderLayer

from speechxfer.encoders.base import Architecture, LayerGroup
from speechxfer.encoders.waveform import WaveformEncoder, norm_over_time
from speechxfer.errors import CheckpointError


class MoonshineEncoder(WaveformEncoder):
    """The encoder half of Moonshine.

    Args:
        config: the whole model's configuration, as `transformers` writes it.

    Raises:
        CheckpointError: its rotary positions depend on the length of the batch.
    """

    family = "moonshine"
    max_duration_s = None
    head_only_ratio = 1 / 6
    attention_matrices = ("q_proj", "k_proj", "v_proj", "o_proj")
    feed_forward_matrices = ("fc1", "fc2")
    depth_setting = "encoder_num_hidden_layers"
    convolutions = ((127, 64), (7, 3), (3, 2))
    frame_rate = WaveformEncoder.sample_rate / math.prod(stride for _, stride in convolutions)

    def __init__(self, config: MoonshineConfig) -> None:
        super().__init__()
        if (kind := config.rope_parameters["rope_type"]) != "default":
            raise CheckpointError(f"{self.family}: rotary positions of type {kind!r} are not supported; wanted 'default'")  # fmt: skip  # noqa: E501
        self.config = config
        self.normalizes = getattr(config, "do_normalize", False)
        self.width = config.hidden_size
        self.depth = config.encoder_num_hidden_layers
        # The library's modules give the decoder as many attention heads as the encoder has, and note that in `config`.
        self.modules_ = Modules(config)
        for layer in self.modules_.layers:
            layer.__class__ = EncoderLayer
            layer.self_attn.attention_dropout = 0.0

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights."""
        return cls(MoonshineConfig(**config), **options)

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """With its own decoder."""
        return {"seq2seq": Architecture("MoonshineForConditionalGeneration", "model.encoder.")}

    def _convolved(self, waveforms: Tensor, num_samples: Tensor | None) -> Tensor:
        modules = self.modules_
        hidden = torch.tanh(modules.conv1(waveforms[:, None]))
        if num_samples is None:
            hidden = modules.groupnorm(hidden)
        else:
            hidden = norm_over_time(hidden, self._num_frames(num_samples, 1), modules.groupnorm)
        hidden = F.gelu(modules.conv2(hidden))
        return F.gelu(modules.conv3(hidden)).transpose(1, 2)

    @property
    def _layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.modules_.layers)

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None if valid is None else valid[:, None, None, :]
        positions = torch.arange(hidden_states.shape[1], device=hidden_states.device)[None] * self.frame_step(start)
        rotation = self.modules_.rotary_emb(hidden_states, positions)
        for layer in self.modules_.layers[start:stop]:
            hidden_states = self._call(layer, hidden_states, mask, rotation)
        return hidden_states

    def _leave(self, hidden_states: Tensor) -> Tensor:
        """The final norm."""
        return cast(Tensor, self.modules_.layer_norm(hidden_states))

    def _layer_groups(self) -> list[LayerGroup]:
        """The convolutions with their norm, then each layer; the final norm moves with the top layer."""
        modules = self.modules_
        groups = [LayerGroup("convolutions", 0, (modules.conv1, modules.groupnorm, modules.conv2, modules.conv3))]
        for index, layer in enumerate(modules.layers):
            top = (modules.layer_norm,) if index == self.depth - 1 else ()
            groups.append(LayerGroup(f"layer {index}", index + 1, (layer, *top)))
        return groups

    def set_dropout(self, probability: float) -> None:
        """On what each layer adds, but not the lowest one: Moonshine was trained without any, as Whisper was."""
        for index, layer in enumerate(self.modules_.layers):
            layer.dropout = probability if index else 0.0

    def _describe(self) -> dict[str, Any]:
        return {"config": self.config.to_diff_dict(), "options": {}}

    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's weights out of a whole Moonshine's state dict."""
        prefix = "model.encoder."
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        cast(nn.Module, self.modules_).load_state_dict(own)


class EncoderLayer(MoonshineEncoderLayer):  # type: ignore[misc]
    """A layer of the original with dropout, which it has none of, on what it adds."""

    dropout = 0.0

    def forward(self, hidden_states: Tensor, mask: Tensor | None, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """[batch, frames, width]; which frames are attended to [batch, 1, 1, frames]; the rotation at each position."""
        attended, _ = self.self_attn(self.input_layernorm(hidden_states), rotation, mask)
        hidden_states = hidden_states + F.dropout(attended, self.dropout, self.training)
        added = self.mlp(self.post_attention_layernorm(hidden_states))
        return hidden_states + F.dropout(added, self.dropout, self.training)
