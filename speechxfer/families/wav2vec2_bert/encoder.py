"""w2v-BERT 2.0: a conformer over log-mel spectrograms; the modules are those of `transformers`.

Its convolutions look back only, its norms see single frames, and its positions are distances between frames. Layer
index 0 is the spectrogram itself, two steps side by side: nothing below the projection is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Wav2Vec2BertConfig
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertModel, Wav2Vec2BertSelfAttention

from speechxfer.data.augment import Distortion
from speechxfer.encoders.base import Architecture, Encoder, LayerGroup
from speechxfer.encoders.few_at_once import at_least
from speechxfer.errors import CheckpointError
from speechxfer.families.wav2vec2_bert.log_mel import BANDS, HOP, WINDOW, KaldiLogMel, num_steps

_PREFIX = "wav2vec2_bert."
#: Steps of the spectrogram that stand side by side in a frame.
_STRIDE = 2
#: What pre-training puts in place of frames to be guessed.
_EMBEDDING = "masked_spec_embed"
#: The stage for other tasks above the encoder: its settings when there is none, and the beginnings of its weights.
_NO_ADAPTER = {"add_adapter": False, "use_intermediate_ffn_before_adapter": False}
_ADAPTER = ("adapter.", "intermediate_ffn.")


class Wav2Vec2BertEncoder(Encoder):
    """w2v-BERT 2.0.

    The convolutions and attention that `add_adapter` puts above it are left out: what they make of the end of an
    utterance depends on its padding.

    Args:
        config: the model's configuration, as `transformers` writes it.

    Raises:
        CheckpointError: another input than the 80 mel bands of two steps, or other positions than distances.
    """

    family = "wav2vec2-bert"
    max_duration_s = None
    mel_bands = BANDS
    frame_rate = Encoder.sample_rate / (HOP * _STRIDE)
    attention_matrices = ("linear_q", "linear_k", "linear_v", "linear_out")
    feed_forward_matrices = ("intermediate_dense", "output_dense")

    def __init__(self, config: Wav2Vec2BertConfig) -> None:
        super().__init__()
        _check(config)
        self.config = config
        self.width = config.hidden_size
        self.depth = config.num_hidden_layers
        self.log_mel = KaldiLogMel()
        self.modules_ = Wav2Vec2BertModel(config)
        if hasattr(self.modules_, _EMBEDDING):  # kept so that the weights stay complete
            self.modules_.masked_spec_embed.requires_grad_(False)
        for layer in self.modules_.encoder.layers:
            layer.self_attn.__class__ = DistanceAttention  # the same weights, put to use by a faster way
        self.set_dropout(0.0)

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights."""
        return cls(Wav2Vec2BertConfig(**{**config, **_NO_ADAPTER}), **options)

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """The classes for both kinds of head."""
        return {
            "ctc": Architecture("Wav2Vec2BertForCTC", _PREFIX),
            "classification": Architecture("Wav2Vec2BertForSequenceClassification", _PREFIX),
        }

    def feature_extractor(self) -> dict[str, Any]:
        """The log-mel spectrogram."""
        return {
            "feature_extractor_type": "SeamlessM4TFeatureExtractor",
            "sampling_rate": self.sample_rate,
            "feature_size": BANDS,
            "num_mel_bins": BANDS,
            "stride": _STRIDE,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
        }

    def num_steps(self, num_samples: Any) -> Any:
        """Windows of 25 ms, one every 10 ms."""
        return num_steps(num_samples)

    def num_frames(self, num_samples: Any) -> Any:
        """Whole pairs of steps; a last step without another is left out, as in the reference."""
        return num_steps(num_samples) // _STRIDE

    def features(self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None) -> Tensor:
        """[batch, samples], [batch] -> the spectrogram [batch, 10 ms steps, mel bands], in which 0 is a band's mean."""
        features = cast(Tensor, self.log_mel(waveforms, num_samples, distortion.warps if distortion else None))
        return features if distortion is None or distortion.mask is None else distortion.mask(features)

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """The spectrogram, two steps side by side; an utterance too short for a frame is extended to one."""
        waveforms = at_least(waveforms, WINDOW + HOP)
        features = self.features(waveforms, num_samples, distortion)
        pairs = features.narrow(1, 0, features.shape[1] // _STRIDE * _STRIDE)
        return pairs.reshape(pairs.shape[0], -1, self.width_at(0)), self.num_frames(num_samples)

    def width_at(self, index: int) -> int:
        """At layer index 0 the mel bands of two steps."""
        return BANDS * _STRIDE if index == 0 else super().width_at(index)

    def _enter(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        """The projection."""
        projected, _ = self.modules_.feature_projection(hidden_states)
        if valid is not None:
            projected = projected.masked_fill(~valid[:, :, None], 0.0)
        return cast(Tensor, self.modules_.encoder.dropout(projected))

    @property
    def _layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.modules_.encoder.layers)

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None if valid is None else valid[:, None, None, :]
        places = torch.arange(hidden_states.shape[1], device=hidden_states.device)
        if self.pooling is not None and start >= self.pooling.at:
            places = places * self.pooling.stride
        distances = places[None, :] - places[:, None]
        for layer in self.modules_.encoder.layers[start:stop]:
            hidden_states = self._call(layer, hidden_states, mask, distances, valid)
        return hidden_states

    def _layer_groups(self) -> list[LayerGroup]:
        """The projection, then each layer."""
        modules, encoder = self.modules_, self.modules_.encoder
        groups = [LayerGroup("projection", 1, (modules.feature_projection, encoder.dropout))]
        return groups + [LayerGroup(f"layer {i}", i + 1, (layer,)) for i, layer in enumerate(encoder.layers)]

    def set_dropout(self, probability: float) -> None:
        """On the projection and what each layer adds; not inside attention."""
        for module in self.modules_.modules():
            if isinstance(module, nn.Dropout):
                module.p = probability

    def _describe(self) -> dict[str, Any]:
        return {"config": self.config.to_diff_dict(), "options": {}}

    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's weights out of the state dict of a model with any head, or with none."""
        own = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
        own = {name: value for name, value in own.items() if not name.startswith(_ADAPTER)}
        embedding = self.modules_.state_dict().get(_EMBEDDING)
        if embedding is None:
            own.pop(_EMBEDDING, None)
        else:
            own.setdefault(_EMBEDDING, torch.zeros_like(embedding))
        cast(nn.Module, self.modules_).load_state_dict(own)


class DistanceAttention(Wav2Vec2BertSelfAttention):  # type: ignore[misc]
    """Attention biased by what a query makes of a key's distance (Shaw et al., 2018), by the fused kernel.

    A query is multiplied with the few embeddings of distances once, not with those of all pairs of frames.
    """

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        relative_position_embeddings: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """As the original's, without dropout.

        Args:
            hidden_states: [batch, frames, width].
            attention_mask: [batch, 1, 1, frames], true where a key is valid; None where all are.
            relative_position_embeddings: how far each key is ahead of each query [frames, frames].
        """
        query, key, value = (
            projection(hidden_states).unflatten(-1, (self.num_heads, self.head_size)).transpose(1, 2)
            for projection in (self.linear_q, self.linear_k, self.linear_v)
        )
        furthest = self.left_max_position_embeddings
        assert relative_position_embeddings is not None
        known = relative_position_embeddings.clamp(-furthest, self.right_max_position_embeddings) + furthest
        scores = F.linear(query, self.distance_embedding.weight) * self.scaling
        bias = scores.gather(-1, known.expand(*scores.shape[:2], -1, -1)).to(query.dtype)
        if attention_mask is not None:
            bias = bias.masked_fill(~attention_mask, -torch.inf)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.linear_out(attended.transpose(1, 2).flatten(2)), None


def _check(config: Wav2Vec2BertConfig) -> None:
    """Look whether a configuration is that of a w2v-BERT 2.0."""
    if config.feature_projection_input_dim != BANDS * _STRIDE:
        raise CheckpointError(f"feature_projection_input_dim is {config.feature_projection_input_dim}, but a w2v-BERT 2.0 takes {BANDS} mel bands of {_STRIDE} steps; wanted {BANDS * _STRIDE}")  # fmt: skip  # noqa: E501
    if config.position_embeddings_type != "relative_key":
        raise CheckpointError(f"position_embeddings_type is {config.position_embeddings_type!r}, which is not supported; wanted 'relative_key', as w2v-BERT 2.0 has it")  # fmt: skip  # noqa: E501
