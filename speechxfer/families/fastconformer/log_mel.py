"""Log-mel spectrograms as NeMo and MedASR have them, of each utterance on its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.lasr.feature_extraction_lasr import LasrFeatureExtractor

from speechxfer.encoders.base import valid_positions
from speechxfer.encoders.few_at_once import at_least
from speechxfer.encoders.log_mel import MelFilters, PowerSpectrum, centered_bands, mel_filters

#: Samples of a window (25 ms), of its Fourier transform, and between windows (10 ms).
WINDOW, FFT, HOP = 400, 512, 160
PREEMPHASIS = 0.97
_ADDED, _LEAST = 2.0**-24, 1e-5  # to energies, in NeMo and MedASR
_SMALLEST = 1e-5  # added to standard deviations


class _LogMel(nn.Module):
    """A log-mel spectrogram of windows of 25 ms.

    Args:
        filters: [mel bins, frequencies].
    """

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        self.mel = MelFilters(filters)
        self.power = PowerSpectrum(torch.hann_window(WINDOW, periodic=False), FFT, HOP)

    def _energies(self, waveforms: Tensor, before: int, warps: Tensor | None) -> Tensor:
        """[batch, samples] -> [batch, steps, mel bins], the middle of the first transform `FFT // 2 - before` later."""
        energies: Tensor = self.mel(self.power(F.pad(waveforms, (before, before))), warps)
        return energies.float().transpose(1, 2)


class NeMoLogMel(_LogMel):
    """NeMo's log-mel spectrogram.

    Args:
        num_mel_bins: bands.
        normalize: bring each band of an utterance to zero mean and unit variance.
    """

    def __init__(self, num_mel_bins: int, *, normalize: bool) -> None:
        super().__init__(mel_filters(num_mel_bins, FFT))
        self.normalize = normalize

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None = None) -> Tensor:
        """[batch, samples], [batch] -> [batch, samples // 160, mel bins], at least one step, zero beyond each length.

        `warps` [batch] are what each utterance's frequencies are multiplied with.
        """
        waveforms = at_least(waveforms, HOP)
        emphasized = torch.cat([waveforms[:, :1], waveforms[:, 1:] - PREEMPHASIS * waveforms[:, :-1]], dim=1)
        emphasized = emphasized.masked_fill(~valid_positions(num_samples, waveforms.shape[1]), 0.0)
        size, num_steps = waveforms.shape[1] // HOP, num_samples // HOP
        log_mel = torch.log(self._energies(emphasized, FFT // 2, warps)[:, :size] + _ADDED)
        valid = valid_positions(num_steps, size)[..., None]
        if self.normalize:
            centered, variance = centered_bands(log_mel, valid)
            log_mel = centered / (variance.sqrt() + _SMALLEST)
        return log_mel.masked_fill(~valid, 0.0)


class MedASRLogMel(_LogMel):
    """MedASR's log-mel spectrogram, of whole windows from 125 to 7500 Hz.

    Args:
        num_mel_bins: bands.
    """

    def __init__(self, num_mel_bins: int) -> None:
        super().__init__(LasrFeatureExtractor(feature_size=num_mel_bins).mel_filters.T.float().contiguous())

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_steps: Tensor, warps: Tensor | None = None) -> Tensor:
        """[batch, samples], steps [batch] -> [batch, steps, mel bins], at least one step, zero beyond each length.

        `warps` [batch] are what each utterance's frequencies are multiplied with.
        """
        long_enough = at_least(waveforms, WINDOW)
        log_mel = self._energies(long_enough, (FFT - WINDOW) // 2, warps).clamp(min=_LEAST).log()
        return log_mel.masked_fill(~valid_positions(num_steps, log_mel.shape[1])[..., None], 0.0)
