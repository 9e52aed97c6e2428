"""Log-mel spectrograms as Kaldi has them, with every band normalized over its own utterance."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank, window_function

from speechxfer.encoders.base import valid_positions
from speechxfer.encoders.log_mel import MelFilters, centered_bands

#: Samples of one window, 25 ms; and between steps, 10 ms.
WINDOW, HOP = 400, 160
BANDS = 80
_FFT = 512
_SCALE = 2.0**15  # Kaldi reads 16-bit integers
_PREEMPHASIS = 0.97
_FLOOR = 1.192092955078125e-07  # of the power, what float32 adds to 1 at least
_EPSILON = 1e-7  # added to the variance of a band


def num_steps(num_samples: Any) -> Any:
    """Whole windows of so many samples; takes an int or an integer tensor."""
    return (num_samples - WINDOW + HOP) // HOP * (num_samples >= WINDOW)


class KaldiLogMel(nn.Module):
    """The log-mel spectrogram of `SeamlessM4TFeatureExtractor`, each utterance on its own.

    A window reads nothing beyond the end of an utterance. Computed in float64, as the original: quiet bands of a loud
    window would otherwise drown in rounding.
    """

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filter_bank(
            num_frequency_bins=_FFT // 2 + 1, num_mel_filters=BANDS, min_frequency=20, max_frequency=8000,
            sampling_rate=16_000, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True,
        )  # fmt: skip
        self.mel = MelFilters(torch.from_numpy(filters.T.copy()))
        self.window: Tensor
        window = torch.from_numpy(window_function(WINDOW, "povey", periodic=False))
        self.register_buffer("window", window, persistent=False)

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None = None) -> Tensor:
        """[batch, samples], at least 400, and [batch] -> [batch, steps, bands], zero beyond each utterance.

        `warps` [batch] are what each utterance's frequencies are multiplied with.
        """
        windows = waveforms.double().unfold(1, WINDOW, HOP) * _SCALE
        windows = windows - windows.mean(-1, keepdim=True)
        windows = windows - _PREEMPHASIS * F.pad(windows, (1, 0), mode="replicate")[..., :-1]
        spectrum = torch.fft.rfft(windows * self.window, _FFT)
        power = spectrum.real**2 + spectrum.imag**2
        energies: Tensor = self.mel(power.mT, None if warps is None else warps.double()).mT
        log_mel = energies.clamp(min=_FLOOR).log()
        valid = valid_positions(num_steps(num_samples), log_mel.shape[1])[:, :, None]
        centered, variance = centered_bands(log_mel, valid)
        return (centered * torch.rsqrt(variance + _EPSILON)).masked_fill(~valid, 0.0).float()
