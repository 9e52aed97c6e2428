"""Encoders whose front end is a stack of convolutions over the waveform itself."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from speechxfer.data.augment import Distortion
from speechxfer.encoders.base import Encoder, valid_positions
from speechxfer.encoders.few_at_once import at_least, few_at_once


class WaveformEncoder(Encoder):
    """An encoder that begins with convolutions over the waveform, which pad nothing.

    An utterance too short for a single frame is extended with silence to one, so that something can be computed;
    its number of frames is still 0.
    """

    #: Whether utterances are brought to zero mean and unit variance first.
    normalizes: bool = False

    @property
    @abstractmethod
    def convolutions(self) -> tuple[tuple[int, int], ...]:
        """Kernel and stride of each convolution, from the waveform up."""

    @abstractmethod
    def _convolved(self, waveforms: Tensor, num_samples: Tensor | None) -> Tensor:
        """[batch, samples], [batch] -> [batch, frames, channels].

        A valid frame sees valid ones only; but a norm over time sees all. Where nothing is padded, `num_samples` is
        None.
        """

    def feature_extractor(self) -> dict[str, Any]:
        """The waveform itself, with a mask of what is padded."""
        return {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "sampling_rate": self.sample_rate,
            "feature_size": 1,
            "padding_side": "right",
            "padding_value": 0.0,
            "do_normalize": self.normalizes,
            "return_attention_mask": True,
        }

    def num_frames(self, num_samples: Any) -> Any:
        """As the convolutions give, which pad nothing."""
        return self._num_frames(num_samples, len(self.convolutions))

    def _num_frames(self, num_samples: Any, layers: int) -> Any:
        """After the lowest `layers` convolutions."""
        for kernel, stride in self.convolutions[:layers]:
            num_samples = (num_samples - kernel) // stride + 1
            num_samples = num_samples * (num_samples > 0)
        return num_samples

    @property
    def _samples_of_a_frame(self) -> int:
        size = 1
        for kernel, stride in reversed(self.convolutions):
            size = (size - 1) * stride + kernel
        return size

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """The normalization and the convolutions."""
        if self.normalizes:
            waveforms = _normalized(waveforms, num_samples)
        waveforms = at_least(waveforms, self._samples_of_a_frame)
        hidden_states = few_at_once(
            functools.partial(self._call, self._convolved), waveforms, num_samples,
            per_second=self.sample_rate, least=self._samples_of_a_frame,
        )  # fmt: skip
        return hidden_states, self.num_frames(num_samples)


def norm_over_time(hidden_states: Tensor, num_frames: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Group norm of [batch, channels, frames], with the statistics of each row's own frames [batch] only."""
    batch, channels, size = hidden_states.shape
    grouped = hidden_states.float().reshape(batch, norm.num_groups, channels // norm.num_groups, size)
    valid = valid_positions(num_frames, size)[:, None, None]
    count = num_frames.clamp(min=1)[:, None, None, None] * grouped.shape[2]
    mean = grouped.masked_fill(~valid, 0.0).sum((2, 3), keepdim=True) / count
    centered = grouped - mean
    variance = centered.masked_fill(~valid, 0.0).square().sum((2, 3), keepdim=True) / count
    scale = torch.rsqrt(variance + norm.eps).expand(-1, -1, grouped.shape[2], -1).flatten(1, 2)
    return torch.addcmul(norm.bias[:, None], centered.flatten(1, 2), norm.weight[:, None] * scale)


def _normalized(waveforms: Tensor, num_samples: Tensor) -> Tensor:
    """Each row [samples] to zero mean and unit variance over its own length, zero beyond."""
    valid = valid_positions(num_samples, waveforms.shape[1])
    count = num_samples.clamp(min=1)[:, None]
    mean = waveforms.masked_fill(~valid, 0.0).sum(1, keepdim=True) / count
    centered = (waveforms - mean).masked_fill(~valid, 0.0)
    variance = centered.square().sum(1, keepdim=True) / count
    return centered * torch.rsqrt(variance + 1e-7)
