"""The encoder of MedASR, a conformer with rotary positions."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from transformers.models.lasr.modeling_lasr import LasrEncoder

from speechxfer.encoders.base import LayerGroup
from speechxfer.encoders.few_at_once import at_least
from speechxfer.families.fastconformer.conformer import ConformerEncoder
from speechxfer.families.fastconformer.log_mel import HOP, WINDOW, MedASRLogMel


class MedASREncoder(ConformerEncoder):
    """MedASR's conformer; the modules are those of `transformers`.

    An utterance too short for a single frame is extended with silence to one; its number of frames is still 0.
    """

    family = "lasr_encoder"
    _model = LasrEncoder
    _subsampling = "subsampler"
    _with_ctc_head = ("LasrForCTC", "lasr_ctc")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.frame_rate = self.sample_rate / HOP / config.subsampling_conv_stride**2
        self.log_mel = MedASRLogMel(config.num_mel_bins)
        for layer in self.modules_.layers:
            # The same zeros on both sides: of those that torch adds by itself to an even kernel, it warns.
            layer.conv.depthwise_conv.padding_mode = "constant"

    def feature_extractor(self) -> dict[str, Any]:
        """MedASR's log-mel."""
        return super().feature_extractor() | {"feature_extractor_type": "LasrFeatureExtractor"}

    def num_steps(self, num_samples: Any) -> Any:
        """Whole windows, one each 10 ms."""
        steps = (num_samples - WINDOW) // HOP + 1
        return steps * (steps > 0)

    def _log_mel(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None) -> Tensor:
        return cast(Tensor, self.log_mel(waveforms, self.num_steps(num_samples), warps))

    def _subsampled(self, features: Tensor, num_steps: Tensor | None) -> Tensor:
        """Nothing is padded in here, so a valid frame is made of valid steps only."""
        kernel, stride = self.config.subsampling_conv_kernel_size, self.config.subsampling_conv_stride
        least = (kernel - 1) * stride + kernel
        return cast(Tensor, self.modules_.subsampler(at_least(features.transpose(1, 2), least).transpose(1, 2)))

    def _frames_of(self, num_steps: Any) -> Any:
        kernel, stride = self.config.subsampling_conv_kernel_size, self.config.subsampling_conv_stride
        for _ in range(2):
            num_steps = (num_steps - kernel) // stride + 1
            num_steps = num_steps * (num_steps > 0)
        return num_steps

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None if valid is None else valid[:, None, None, :]
        places = torch.arange(hidden_states.shape[1], device=hidden_states.device) * self.frame_step(start)
        positions = self.modules_.rotary_emb(hidden_states, places[None])
        for layer in self._layers[start:stop]:
            hidden_states = self._call(layer, hidden_states, mask, positions)
        return hidden_states

    def _leave(self, hidden_states: Tensor) -> Tensor:
        """The final norm."""
        return cast(Tensor, self.modules_.out_norm(hidden_states))

    def _layer_groups(self) -> list[LayerGroup]:
        """The final norm moves with the top layer."""
        *lower, top = super()._layer_groups()
        return [*lower, LayerGroup(top.name, top.seam, (*top.modules, self.modules_.out_norm))]
