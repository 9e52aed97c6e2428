"""The streaming FastConformer of Nemotron (Noroozi et al., 2023), whose frames look ahead within chunks only."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from transformers.models.nemotron_asr_streaming.modeling_nemotron_asr_streaming import NemotronAsrStreamingEncoder

from speechxfer.families.fastconformer.attention import relative_positions
from speechxfer.families.fastconformer.encoder import FastConformerEncoder


class StreamingEncoder(FastConformerEncoder):
    """FastConformer with causal convolutions and attention in chunks, as its configuration sets them.

    A frame attends to its own chunk of `default_num_lookahead_tokens + 1` frames and to the chunks before it that fit
    into `sliding_window`.
    """

    family = "nemotron_asr_streaming_encoder"
    _model = NemotronAsrStreamingEncoder
    _with_ctc_head = None
    _extractor = "NemotronAsrStreamingFeatureExtractor"
    _normalized = False

    def feature_extractor(self) -> dict[str, Any]:
        """NeMo's log-mel with filters in full precision."""
        return super().feature_extractor() | {"mel_filters_dtype": "float32"}

    def _frames_of(self, num_steps: Any) -> Any:
        """Each convolution pads its input with what is missing before the first step, and to whole strides after."""
        stride = self.config.subsampling_conv_stride
        return self._strided(num_steps, stride - 2, stride)

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        step = self.frame_step(start)
        mask = self._chunks(hidden_states, step)
        if valid is not None:
            # A padded frame has to attend to something: to itself.
            itself = torch.eye(hidden_states.shape[1], dtype=torch.bool, device=valid.device)
            mask = (mask & valid[:, None, None, :]) | itself
        positions = relative_positions(hidden_states, step)
        for layer in self._layers[start:stop]:
            # Convolutions look back only, so no valid frame sees a padded one.
            hidden_states = self._call(layer, hidden_states, mask, None, positions)
        return hidden_states

    def _chunks(self, hidden_states: Tensor, step: int) -> Tensor:
        """Which frames attend to which [frames, frames], neighbors being `step` original frames apart."""
        size = self.config.default_num_lookahead_tokens + 1
        places = torch.arange(hidden_states.shape[1], device=hidden_states.device) * step // size
        back = places[:, None] - places
        return cast(Tensor, (back >= 0) & (back <= (self.config.sliding_window - 1) // size))
