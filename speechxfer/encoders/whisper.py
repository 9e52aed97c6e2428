"""Whisper's encoder at the length of the utterance instead of 30 s; the modules are those of `transformers`.

An untouched Whisper decoder only works on audio padded to 30 s, so that is an option (`pad_to_30s`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
import torchaudio.functional
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder as Modules

from speechxfer.data.augment import Distortion
from speechxfer.encoders.base import Encoder, LayerGroup, valid_positions

_WINDOW = 400  # samples of one Fourier transform, 25 ms
_HOP = 160  # samples between mel frames, 10 ms
#: A formula, which the module begins with.
_POSITIONS = "embed_positions.weight"
_DYNAMIC_RANGE = 8.0  # powers of ten kept below the loudest bin
_HIGHEST = 8000.0  # Hz
_FORMANTS = 4800.0  # Hz; what is below is warped evenly


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram, each utterance normalised by its own maximum.

    An utterance is taken to be followed by silence, as it is when padded to 30 s, so its bins are those of
    the padded original whatever stands beside it in a batch.
    """

    def __init__(self, num_mel_bins: int) -> None:
        super().__init__()
        filters = torchaudio.functional.melscale_fbanks(
            n_freqs=1 + _WINDOW // 2, f_min=0.0, f_max=_HIGHEST, n_mels=num_mel_bins, sample_rate=16_000,
            norm="slaney", mel_scale="slaney",
        )  # fmt: skip
        self.filters: Tensor
        self.window: Tensor
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(_WINDOW), persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None = None) -> Tensor:
        """[batch, samples], [batch] -> [batch, mel bins, samples // 160], zero beyond each length.

        Fewer than 400 samples are extended to 400, so that there always is a bin. `warps` [batch] are what each
        utterance's frequencies are multiplied with.
        """
        waveforms = F.pad(waveforms, (0, max(_WINDOW - waveforms.shape[1], 0)))
        # Reflection on the left, as in the original; on the right the silence that follows.
        padded = F.pad(waveforms, (0, _WINDOW // 2))
        padded = torch.cat([padded[:, 1 : _WINDOW // 2 + 1].flip(1), padded], dim=1)
        spectrum = torch.stft(padded, _WINDOW, _HOP, window=self.window, center=False, return_complex=True)
        size = waveforms.shape[1] // _HOP
        power = (spectrum.real**2 + spectrum.imag**2)[..., :size]
        filters = self.filters if warps is None else self._warped(warps.to(power.device))
        log_mel = (filters @ power).clamp_(min=1e-10).log10_()
        valid = valid_positions(num_samples // _HOP, size)[:, None]
        loudest = log_mel.masked_fill(~valid, -10.0).amax(dim=(1, 2), keepdim=True)
        log_mel = torch.maximum(log_mel, loudest - _DYNAMIC_RANGE)
        return ((log_mel + 4.0) / 4.0).masked_fill_(~valid, 0.0)

    def _warped(self, warps: Tensor) -> Tensor:
        """Filters [batch, mel bins, frequencies] that hear each frequency where a factor [batch] puts it.

        Up to the formants' region all are multiplied, above it they are moved so that the highest one stays (Jaitly and
        Hinton, 2013, Vocal tract length perturbation improves speech recognition).
        """
        last = self.filters.shape[1] - 1
        places = torch.arange(last + 1, device=warps.device) * (_HIGHEST / last)
        even = _FORMANTS * warps.clamp(max=1.0) / warps  # up to here they are multiplied
        slope = (_HIGHEST - even * warps) / (_HIGHEST - even)
        factors, even, slope = warps[:, None], even[:, None], slope[:, None]
        moved = torch.where(places <= even, places * factors, _HIGHEST - slope * (_HIGHEST - places))
        moved = (moved * (last / _HIGHEST)).clamp(0.0, last)
        below = moved.long().clamp(max=last - 1)
        above_share = (moved - below)[:, None]
        table = self.filters[:, below].transpose(0, 1), self.filters[:, below + 1].transpose(0, 1)
        return torch.lerp(*table, above_share)


class WhisperEncoder(Encoder):
    """The encoder half of Whisper.

    Args:
        config: the model's configuration, as `transformers` writes it.
        pad_to_30s: extend every waveform with silence to 30 s and let it be attended to, as Whisper was trained.
    """

    family = "whisper"
    head_only_ratio = 1 / 6
    options = ("pad_to_30s",)
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
        self._chunk_samples: int = config.max_source_positions * 2 * _HOP
        self.log_mel = LogMel(config.num_mel_bins)
        self.modules_ = Modules(config)

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights."""
        return cls(WhisperConfig(**config), **options)

    @property
    def architectures(self) -> Mapping[str, tuple[str, str]]:
        """With its own decoder; and a classifier of what is padded to 30 s, for the reference knows nothing else."""
        whole = {"seq2seq": ("WhisperForConditionalGeneration", "model.encoder.")}
        return whole | ({"classification": ("WhisperForAudioClassification", "encoder.")} if self.fixed_length else {})

    def feature_extractor(self) -> dict[str, Any]:
        """The log-mel spectrogram of 30 s."""
        return {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "sampling_rate": self.sample_rate,
            "feature_size": self.config.num_mel_bins,
            "n_fft": _WINDOW,
            "hop_length": _HOP,
            "chunk_length": self._chunk_samples // self.sample_rate,
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": False,
        }

    def num_frames(self, num_samples: Any) -> Any:
        """One frame for every started pair of whole 10 ms hops."""
        return (num_samples // _HOP + 1) // 2

    def computed_s(self, duration_s: float) -> float:
        """The utterance, or 30 s."""
        return self._chunk_samples / self.sample_rate if self.fixed_length else duration_s

    def num_steps(self, num_samples: Any) -> Any:
        """Whole 10 ms hops."""
        return num_samples // _HOP

    def features(self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None) -> Tensor:
        """[batch, samples], [batch] -> the log-mel spectrogram [batch, mel bins, 10 ms steps]; of 30 s if padded."""
        heard = num_samples
        if self.fixed_length:
            waveforms = F.pad(waveforms, (0, self._chunk_samples - waveforms.shape[1]))
            heard = torch.full_like(num_samples, self._chunk_samples)
        features = cast(Tensor, self.log_mel(waveforms, heard, distortion.warps if distortion else None))
        if distortion is None or distortion.mask is None:
            return features
        own = valid_positions(self.num_steps(num_samples).clamp(min=1), features.shape[2])[:, None]
        mean = (features * own).sum(dim=(1, 2), keepdim=True) / (own.sum(dim=2, keepdim=True) * self.mel_bands)
        hidden = distortion.mask(features.transpose(1, 2), mean).transpose(1, 2)
        return torch.where(own, hidden, features)

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-mel, the two convolutions and the positions."""
        heard = torch.full_like(num_samples, self._chunk_samples) if self.fixed_length else num_samples
        features = self.features(waveforms, num_samples, distortion)
        # Convolutions read a frame beyond the end, where an utterance on its own has zeros.
        outside = ~valid_positions(heard // _HOP, features.shape[2])[:, None]
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
