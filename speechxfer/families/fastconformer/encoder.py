"""FastConformer (Rekesh et al., 2023): the encoder of Parakeet, Canary and Cohere Transcribe."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

from torch import Tensor
from transformers.models.parakeet.modeling_parakeet import ParakeetEncoder

from speechxfer.encoders.base import valid_positions
from speechxfer.families.fastconformer.attention import RelativeAttention, relative_positions
from speechxfer.families.fastconformer.conformer import ConformerEncoder
from speechxfer.families.fastconformer.log_mel import HOP, PREEMPHASIS, NeMoLogMel


class FastConformerEncoder(ConformerEncoder):
    """FastConformer in all its sizes; the modules are those of `transformers`."""

    family = "parakeet_encoder"
    _model = ParakeetEncoder
    _with_ctc_head: ClassVar[tuple[str, str] | None] = ("ParakeetForCTC", "parakeet_ctc")
    #: Its feature extractor in `transformers`, and whether that brings each mel band to zero mean and unit variance.
    _extractor: ClassVar[str] = "ParakeetFeatureExtractor"
    _normalized: ClassVar[bool] = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.frame_rate = self.sample_rate / HOP / config.subsampling_factor
        self.log_mel = NeMoLogMel(config.num_mel_bins, normalize=self._normalized)
        for layer in self._layers:
            layer.self_attn.__class__ = RelativeAttention  # the same weights, put to use by a faster way

    def feature_extractor(self) -> dict[str, Any]:
        """NeMo's log-mel."""
        own = {"feature_extractor_type": self._extractor, "preemphasis": PREEMPHASIS}
        return super().feature_extractor() | own

    def num_steps(self, num_samples: Any) -> Any:
        """Whole 10 ms hops."""
        return num_samples // HOP

    def _log_mel(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None) -> Tensor:
        return cast(Tensor, self.log_mel(waveforms, num_samples, warps))

    def _subsampled(self, features: Tensor, num_steps: Tensor | None) -> Tensor:
        # The mask silences what each convolution gives beyond an utterance's end, which the next one reads.
        mask = None if num_steps is None else valid_positions(num_steps, features.shape[1])
        return cast(Tensor, self.modules_.subsampling(features, mask) * self.modules_.input_scale)

    def _frames_of(self, num_steps: Any) -> Any:
        """Each convolution of the subsampling pads its input on both sides."""
        kernel, stride = self.config.subsampling_conv_kernel_size, self.config.subsampling_conv_stride
        return self._strided(num_steps, (kernel - 1) // 2 * 2 - kernel, stride)

    def _strided(self, num_steps: Any, added: int, stride: int) -> Any:
        for _ in range(int(math.log2(self.config.subsampling_factor))):
            num_steps = (num_steps + added) // stride + 1
        return num_steps

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None if valid is None else valid[:, None, None, :]
        positions = relative_positions(hidden_states, self.frame_step(start))
        for layer in self._layers[start:stop]:
            hidden_states = self._call(layer, hidden_states, mask, positions)
        return hidden_states
