"""Whisper's encoder at the length of the utterance instead of 30 s; the modules are those of `transformers`.

A pre-trained Whisper decoder only works on audio padded to 30 s, so that is an option (`pad_to_30s`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder as Modules

from speechxfer.data.augment import Distortion
from speechxfer.encoders.base import Architecture, Encoder, LayerGroup, valid_positions
from speechxfer.encoders.log_mel import HOP, WINDOW, LogMel, masked_spectrogram

#: A formula, which the module begins with.
_POSITIONS = "embed_positions.weight"


class WhisperEncoder(Encoder):
    """The encoder half of Whisper.

    Args:
        config: the model's configuration, as `transformers` writes it.
        pad_to_30s: extend every waveform with silence to 30 s and let it be attended to, as Whisper was trained.
    """

    family = "whisper"
    head_only_ratio = 1 / 6
    frame_rate = 50.0
    attention_matrices = ("q_proj", "k_proj", "v_proj", "out_proj")
    feed_forward_matrices = ("fc1", "fc2")

    def __init__(self, config: WhisperConfig, *, pad_to_30s: bool = False) -> None:
        super().__init__()
        self.config = config
        self.fixed_length = pad_to_30s
        self.width = config.d_model
        self.depth = config.encoder_layers
        self.mel_bands = config.num_mel_bins
        self.max_duration_s = config.max_source_positions / self.frame_rate
        #: What Whisper was trained on, which is 30 s for all that are published.
        self._chunk_samples: int = config.max_source_positions * 2 * HOP
        self.log_mel = LogMel(config.num_mel_bins)
        self.modules_ = Modules(config)

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights."""
        return cls(WhisperConfig(**config), **options)

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """With its own decoder; and a classifier of what is padded to 30 s, for the reference knows nothing else."""
        whole = {"seq2seq": Architecture("WhisperForConditionalGeneration", "model.encoder.")}
        padded = {"classification": Architecture("WhisperForAudioClassification", "encoder.")}
        return whole | padded if self.fixed_length else whole

    def feature_extractor(self) -> dict[str, Any]:
        """The log-mel spectrogram of 30 s."""
        return {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "sampling_rate": self.sample_rate,
            "feature_size": self.config.num_mel_bins,
            "n_fft": WINDOW,
            "hop_length": HOP,
            "chunk_length": self._chunk_samples // self.sample_rate,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": False,
        }

    def num_frames(self, num_samples: Any) -> Any:
        """One frame for every started pair of whole 10 ms hops."""
        return (num_samples // HOP + 1) // 2

    def computed_s(self, duration_s: float) -> float:
        """The utterance, or 30 s."""
        return self._chunk_samples / self.sample_rate if self.fixed_length else duration_s

    def num_steps(self, num_samples: Any) -> Any:
        """Whole 10 ms hops."""
        return num_samples // HOP

    def features(self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None) -> Tensor:
        """[batch, samples], [batch] -> the log-mel spectrogram [batch, mel bins, 10 ms steps]; of 30 s if padded."""
        received = num_samples
        if self.fixed_length:
            waveforms = F.pad(waveforms, (0, self._chunk_samples - waveforms.shape[1]))
            received = torch.full_like(num_samples, self._chunk_samples)
        features = cast(Tensor, self.log_mel(waveforms, received, distortion.warps if distortion else None))
        if distortion is None or distortion.mask is None:
            return features
        steps = self.num_steps(num_samples)
        return masked_spectrogram(features.transpose(1, 2), steps, distortion.mask).transpose(1, 2)

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-mel, the two convolutions and the positions."""
        received = torch.full_like(num_samples, self._chunk_samples) if self.fixed_length else num_samples
        features = self.features(waveforms, num_samples, distortion)
        # Convolutions read a frame beyond the end, where an utterance on its own has zeros.
        outside = ~valid_positions(received // HOP, features.shape[2])[:, None]
        hidden = F.gelu(self.modules_.conv1(features)).masked_fill(outside, 0.0)
        hidden = F.gelu(self.modules_.conv2(hidden)).transpose(1, 2)
        return hidden + self.modules_.embed_positions.weight[: hidden.shape[1]], self.num_frames(num_samples)

    @property
    def _layers(self) -> nn.ModuleList:
        return cast(nn.ModuleList, self.modules_.layers)

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        mask = None if valid is None else valid[:, None, None, :]
        for layer in self.modules_.layers[start:stop]:
            hidden_states = self._call(layer, hidden_states, mask)
        return hidden_states

    def _leave(self, hidden_states: Tensor) -> Tensor:
        """The final norm."""
        return cast(Tensor, self.modules_.layer_norm(hidden_states))

    def _layer_groups(self) -> list[LayerGroup]:
        """The convolutions, then each layer; the final norm moves with the top layer."""
        layers = list(self.modules_.layers)
        groups = [LayerGroup("convolutions", 0, (self.modules_.conv1, self.modules_.conv2))]
        for index, layer in enumerate(layers):
            top = (self.modules_.layer_norm,) if index == self.depth - 1 else ()
            groups.append(LayerGroup(f"layer {index}", index + 1, (layer, *top)))
        return groups

    def set_dropout(self, probability: float) -> None:
        """On what each layer adds; not inside attention, whose fast kernels have none on a CPU.

        Nor on what the lowest layer adds: Whisper was trained without any, and would lose most of what it knows.
        """
        for index, layer in enumerate(self.modules_.layers):
            layer.activation_dropout = probability
            layer.dropout = probability if index else 0.0

    def _describe(self) -> dict[str, Any]:
        return {"config": self.config.to_diff_dict(), "options": {"pad_to_30s": self.fixed_length}}

    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's weights out of a whole Whisper's state dict, or a classifier's."""
        prefix = "model.encoder."
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        own.setdefault(_POSITIONS, self.modules_.state_dict()[_POSITIONS])
        cast(nn.Module, self.modules_).load_state_dict(own)
