"""wav2vec2, HuBERT, WavLM and data2vec-audio; the modules are those of `transformers`.

They share one shape: convolutions over the waveform, a projection with convolutional positions, layers. Layer index 0
is what the convolutions give, so that keeping them as they are (the usual practice) can be computed once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Data2VecAudioConfig, HubertConfig, Wav2Vec2Config, WavLMConfig
from transformers.models.data2vec.modeling_data2vec_audio import Data2VecAudioModel
from transformers.models.hubert.modeling_hubert import HubertModel
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Model
from transformers.models.wavlm.modeling_wavlm import WavLMAttention, WavLMModel

from speechxfer.encoders.base import Architecture, LayerGroup
from speechxfer.encoders.waveform import WaveformEncoder, norm_over_time
from speechxfer.errors import CheckpointError

#: What pre-training puts in place of frames to be guessed.
_EMBEDDING = "masked_spec_embed"


class Wav2Vec2Encoder(WaveformEncoder):
    """wav2vec2 in all its sizes, and what its relatives share.

    Args:
        config: the model's configuration, as `transformers` writes it; with `do_normalize` false, which is the
            preprocessor's, utterances are not brought to zero mean and unit variance first.

    Raises:
        CheckpointError: a variant that cannot be made independent of padding.
    """

    family = "wav2vec2"
    max_duration_s = None
    attention_matrices = ("q_proj", "k_proj", "v_proj", "out_proj")
    feed_forward_matrices = ("intermediate_dense", "output_dense")
    #: The configuration and the model in `transformers`, and what its checkpoints put before the names of weights.
    _config: ClassVar[Any] = Wav2Vec2Config
    _model: ClassVar[Any] = Wav2Vec2Model
    _prefix: ClassVar[str] = "wav2vec2."

    def __init__(self, config: Any) -> None:
        super().__init__()
        if getattr(config, "conv_pos_batch_norm", False):
            raise CheckpointError(f"{self.family}: batch norm over positions (conv_pos_batch_norm) is not supported")
        config.add_adapter = False  # a stage for other tasks above the encoder
        self.config = config
        self.normalizes = getattr(config, "do_normalize", True)
        self.width = config.hidden_size
        self.depth = config.num_hidden_layers
        self.frame_rate = self.sample_rate / math.prod(config.conv_stride)
        self._norm_first = getattr(config, "do_stable_layer_norm", False)
        self.modules_ = self._model(config)
        if hasattr(self.modules_, _EMBEDDING):  # kept so that the weights stay complete
            self.modules_.masked_spec_embed.requires_grad_(False)
        if getattr(config, "adapter_attn_dim", None):
            self.adapter_modules = ("adapter_layer",)
        self.set_dropout(0.0)

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights."""
        return cls(cls._config(**config), **options)

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """The family's classes for both kinds of head."""
        name = self._model.__name__.removesuffix("Model")
        kinds = {"ctc": f"{name}ForCTC", "classification": f"{name}ForSequenceClassification"}
        return {kind: Architecture(architecture, self._prefix) for kind, architecture in kinds.items()}

    def feature_extractor(self) -> dict[str, Any]:
        """Padding only matters to the reference's group norm, which is why that is given no mask."""
        masked = getattr(self.config, "feat_extract_norm", "layer") == "layer"
        return super().feature_extractor() | {"return_attention_mask": masked}

    @property
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        """Of all models so far 49 frames for 16,000 samples, 1 for 400, 0 for 399."""
        return tuple(zip(self.config.conv_kernel, self.config.conv_stride, strict=True))

    def _convolved(self, waveforms: Tensor, num_samples: Tensor | None) -> Tensor:
        first, *others = self.modules_.feature_extractor.conv_layers
        hidden = waveforms[:, None]
        if num_samples is not None and isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
            normed = norm_over_time(first.conv(hidden), self._num_frames(num_samples, 1), first.layer_norm)
            hidden = first.activation(normed)
        else:
            hidden = first(hidden)
        for layer in others:
            hidden = layer(hidden)
        return cast(Tensor, hidden.transpose(1, 2))

    def width_at(self, index: int) -> int:
        """At layer index 0 the number of channels of the last convolution."""
        return cast(int, self.config.conv_dim[-1]) if index == 0 else super().width_at(index)

    def _enter(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        """The projection and the positions."""
        projected = self.modules_.feature_projection(hidden_states)
        if isinstance(projected, tuple):
            projected = projected[0]
        hidden_states = _silenced(projected, valid)
        hidden_states = hidden_states + self._positions(hidden_states, valid)
        encoder = self.modules_.encoder
        if not self._norm_first:
            hidden_states = encoder.layer_norm(hidden_states)
        return cast(Tensor, encoder.dropout(hidden_states))

    def _positions(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        """What the convolution over neighbors gives for hidden states that are zero where not valid."""
        return cast(Tensor, self.modules_.encoder.pos_conv_embed(hidden_states))

    @property
    def _layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.modules_.encoder.layers)

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None if valid is None else valid[:, None, None, :]
        for layer in self.modules_.encoder.layers[start:stop]:
            hidden_states = self._call(layer, hidden_states, mask)
        return hidden_states

    def _leave(self, hidden_states: Tensor) -> Tensor:
        """The final norm, where layers begin with theirs."""
        return cast(Tensor, self.modules_.encoder.layer_norm(hidden_states)) if self._norm_first else hidden_states

    def _leave_stacked(self, hidden_states: Tensor) -> Tensor:
        """As it is, below the final norm: so `transformers` has it since version 5."""
        return hidden_states

    def _layer_groups(self) -> list[LayerGroup]:
        """The convolutions, the projection with the positions, then each layer; the norm goes where it stands."""
        modules, encoder = self.modules_, self.modules_.encoder
        norm = (encoder.layer_norm,)
        entry = (modules.feature_projection, encoder.pos_conv_embed, encoder.dropout)
        groups = [
            LayerGroup("convolutions", 0, (modules.feature_extractor,)),
            LayerGroup("projection", 1, entry if self._norm_first else entry + norm),
        ]
        for index, layer in enumerate(encoder.layers):
            top = norm if self._norm_first and index == self.depth - 1 else ()
            groups.append(LayerGroup(f"layer {index}", index + 1, (layer, *top)))
        return groups

    def set_dropout(self, probability: float) -> None:
        """On the projection and what each layer adds; not inside attention, whose fast kernels have none on a CPU."""
        for module in self.modules_.modules():
            if isinstance(module, nn.Dropout):
                module.p = probability
        for layer in self.modules_.encoder.layers:
            layer.attention.dropout = 0.0

    def _describe(self) -> dict[str, Any]:
        return {"config": self.config.to_diff_dict(), "options": {}}

    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's weights out of the state dict of a model with any head, or with none."""
        own = {name.removeprefix(self._prefix): value for name, value in state.items() if name.startswith(self._prefix)}
        own = {name: value for name, value in own.items() if not name.startswith("adapter.")}
        embedding = self.modules_.state_dict().get(_EMBEDDING)
        if embedding is None:
            own.pop(_EMBEDDING, None)
        else:
            own.setdefault(_EMBEDDING, torch.zeros_like(embedding))
        cast(nn.Module, self.modules_).load_state_dict(own)


class HubertEncoder(Wav2Vec2Encoder):
    """HuBERT."""

    family = "hubert"
    _config = HubertConfig
    _model = HubertModel
    _prefix = "hubert."


class Data2VecAudioEncoder(Wav2Vec2Encoder):
    """data2vec-audio, whose positions are several convolutions deep."""

    family = "data2vec-audio"
    _config = Data2VecAudioConfig
    _model = Data2VecAudioModel
    _prefix = "data2vec_audio."

    def _positions(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        for layer in self.modules_.encoder.pos_conv_embed.layers:
            # Each reads beyond the end, where an utterance on its own has zeros.
            hidden_states = layer(_silenced(hidden_states, valid).transpose(1, 2)).transpose(1, 2)
        return hidden_states


class WavLMEncoder(Wav2Vec2Encoder):
    """WavLM, whose attention is biased by relative positions."""

    family = "wavlm"
    _config = WavLMConfig
    _model = WavLMModel
    _prefix = "wavlm."

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for layer in self.modules_.encoder.layers:
            layer.attention.__class__ = GatedAttention  # the same weights, put to use by a faster way

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None
        if valid is not None:
            mask = torch.zeros(valid.shape, device=valid.device).masked_fill_(~valid, -torch.inf)[:, None, None, :]
        layers = self.modules_.encoder.layers
        # The first layer owns the table that all layers read, wherever a run starts.
        bias = layers[0].attention.relative_bias(hidden_states.shape[1], self.frame_step(start))
        for layer in layers[start:stop]:
            hidden_states, _ = self._call(layer, hidden_states, mask, bias)
        return hidden_states


class GatedAttention(WavLMAttention):  # type: ignore[misc]
    """WavLM's attention by the fused kernel, which takes the gated bias as its mask; never an average of weights."""

    def relative_bias(self, size: int, step: int) -> Tensor:
        """[1, heads, size, size] for all pairs of `size` frames, neighbors being `step` original frames apart."""
        distances = torch.arange(1 - size, size, device=self.rel_attn_embed.weight.device) * step
        table = self.rel_attn_embed(self._relative_positions_bucket(distances)).T
        places = torch.arange(size, device=distances.device)
        # Row i of the square looks from -i to size - 1 - i.
        return cast(Tensor, table[:, places[None, :] - places[:, None] + size - 1][None])

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        index: int = 0,
        **_: Any,
    ) -> tuple[Tensor, None, Tensor | None]:
        """As the original's, but masks are added [batch, 1, 1, frames] and biases are `relative_bias`."""
        split = (*hidden_states.shape[:2], self.num_heads, self.head_dim)
        gates = self.gru_rel_pos_linear(hidden_states.view(split).transpose(1, 2))
        first, second = torch.sigmoid(gates.unflatten(-1, (2, 4)).sum(-1)).chunk(2, dim=-1)
        gate = first * (second * self.gru_rel_pos_const - 1.0) + 2.0
        assert position_bias is not None
        bias = gate * position_bias if attention_mask is None else torch.addcmul(attention_mask, gate, position_bias)
        query, key, value = (
            projection(hidden_states).view(split).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None, position_bias


def _silenced(hidden_states: Tensor, valid: Tensor | None) -> Tensor:
    """Zero where not valid."""
    return hidden_states if valid is None else hidden_states.masked_fill(~valid[:, :, None], 0.0)
