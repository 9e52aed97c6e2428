"""What encoders of conformer layers (Gulati et al., 2020) over a log-mel spectrogram share."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig

from speechxfer.data.augment import Distortion
from speechxfer.encoders.base import Architecture, Encoder, LayerGroup
from speechxfer.encoders.few_at_once import few_at_once
from speechxfer.encoders.log_mel import masked_spectrogram
from speechxfer.families.fastconformer.convolution import ConvolutionModule
from speechxfer.families.fastconformer.log_mel import FFT, HOP, WINDOW


class ConformerEncoder(Encoder):
    """Log-mel, convolutions that leave fewer frames (subsampling), conformer layers.

    Layer index 0 is what the subsampling gives, scaled as the layers take it: nobody trains the convolutions, and there
    are few frames to keep.

    Args:
        config: the encoder's configuration, as `transformers` writes it.
    """

    max_duration_s = None
    attention_matrices = ("q_proj", "k_proj", "v_proj", "o_proj")
    feed_forward_matrices = ("linear1", "linear2")
    #: The model in `transformers`, what it calls its subsampling, and the class with a CTC head: its name, and the
    #: `model_type` of its configuration.
    _model: ClassVar[Any]
    _subsampling: ClassVar[str] = "subsampling"
    _with_ctc_head: ClassVar[tuple[str, str] | None] = None

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.width = config.hidden_size
        self.depth = config.num_hidden_layers
        self.mel_bands = config.num_mel_bins
        self.modules_ = self._model(config)
        for layer in self.modules_.layers:
            if isinstance(layer.conv.norm, nn.BatchNorm1d):
                layer.conv.__class__ = ConvolutionModule  # the same weights, put to use by a faster way
        self.set_dropout(0.0)

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights, from its own configuration or from one of a whole model."""
        whole = AutoConfig.for_model(**config)
        return cls(getattr(whole, "encoder_config", whole), **options)

    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's weights out of a whole model's state dict."""
        last = next(name for name in reversed(self.modules_.state_dict()) if name.startswith(f"{self._subsampling}."))
        prefix = next((name.removesuffix(last) for name in state if f".{name}".endswith(f".{last}")), "encoder.")
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        cast(nn.Module, self.modules_).load_state_dict(own)

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """The family's class with a CTC head, if it has one."""
        if self._with_ctc_head is None:
            return {}
        name, outer = self._with_ctc_head
        return {"ctc": Architecture(name, "encoder.", {"lm_head.": "ctc_head."}, True, outer)}

    def feature_extractor(self) -> dict[str, Any]:
        """The log-mel spectrogram of windows of 25 ms."""
        return {
            "sampling_rate": self.sample_rate,
            "feature_size": self.mel_bands,
            "n_fft": FFT,
            "win_length": WINDOW,
            "hop_length": HOP,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": True,
        }

    @abstractmethod
    def _log_mel(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None) -> Tensor:
        """[batch, samples], [batch] -> [batch, steps, mel bins], at least one step, zero beyond each length."""

    @abstractmethod
    def _subsampled(self, features: Tensor, num_steps: Tensor | None) -> Tensor:
        """[batch, steps, mel bins], [batch] -> hidden states at layer index 0 [batch, frames, width].

        Where nothing is padded, `num_steps` is None.
        """

    def num_frames(self, num_samples: Any) -> Any:
        """As the subsampling gives for the steps of the spectrogram."""
        return self._frames_of(self.num_steps(num_samples))

    @abstractmethod
    def _frames_of(self, num_steps: Any) -> Any:
        """Frames that the subsampling leaves of so many steps."""

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-mel and the subsampling."""
        num_steps = self.num_steps(num_samples)
        features = self._log_mel(waveforms, num_samples, distortion.warps if distortion else None)
        if distortion is not None and distortion.mask is not None:
            features = masked_spectrogram(features, num_steps, distortion.mask)
        convolve = functools.partial(self._call, self._subsampled)
        hidden_states = few_at_once(convolve, features, num_steps, per_second=self.sample_rate / HOP)
        return hidden_states, self.num_frames(num_samples)

    @property
    def _layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.modules_.layers)

    def _enter(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        """Dropout, where the lowest layer is trained."""
        return F.dropout(hidden_states, self.modules_.dropout, training=self._layers[0].training)

    def _layer_groups(self) -> list[LayerGroup]:
        """The subsampling, then each layer."""
        layers = [LayerGroup(f"layer {index}", index + 1, (layer,)) for index, layer in enumerate(self._layers)]
        return [LayerGroup("subsampling", 0, (getattr(self.modules_, self._subsampling),)), *layers]

    def train(self, mode: bool = True) -> Self:
        """As everywhere, but the norms over batches keep their statistics.

        With those of the batch an utterance would depend on its neighbors and their padding, by a fifth of its
        magnitude; and they would be those of a few utterances instead of the pre-training's. Their scales are trained.
        """
        super().train(mode)
        for module in self.modules_.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def set_dropout(self, probability: float) -> None:
        """On what enters the layers and inside feed-forward; not inside attention, whose fast kernels have none."""
        self.modules_.dropout = probability
        for layer in self.modules_.layers:
            layer.feed_forward1.activation_dropout = layer.feed_forward2.activation_dropout = probability
            layer.self_attn.attention_dropout = 0.0

    def _describe(self) -> dict[str, Any]:
        return {"config": self.config.to_diff_dict(), "options": {}}
