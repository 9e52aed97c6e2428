"""Log-mel spectrograms: what all of them share, and Whisper's, of each utterance on its own."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from speechxfer.data.augment import FrameMask
from speechxfer.encoders.base import valid_positions
from speechxfer.encoders.few_at_once import at_least

#: Samples of one Fourier transform, 25 ms; and between mel frames, 10 ms.
WINDOW, HOP = 400, 160
_DYNAMIC_RANGE = 8.0  # powers of ten kept below the loudest bin
_HIGHEST = 8000.0  # Hz
_FORMANTS = 4800.0  # Hz; what is below is warped evenly


def mel_filters(num_mel_bins: int, fft_size: int) -> Tensor:
    """Triangles [mel bins, fft_size // 2 + 1] of equal area from 0 to 8000 Hz, on Slaney's mel scale.

    The scale is that of the Auditory Toolbox (Slaney, 1998), which librosa, Whisper and NeMo use.
    """
    filters = mel_filter_bank(1 + fft_size // 2, num_mel_bins, 0.0, _HIGHEST, 16_000, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters.T).float().contiguous()


class MelFilters(nn.Module):
    """Filters over the frequencies of a power spectrum.

    Args:
        filters: [mel bins, frequencies], the frequencies from 0 to 8000 Hz.
    """

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        self.filters: Tensor
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, power: Tensor, warps: Tensor | None = None) -> Tensor:
        """[batch, frequencies, steps] -> [batch, mel bins, steps].

        `warps` [batch] are what each utterance's frequencies are multiplied with.
        """
        filters = self.filters if warps is None else warped(self.filters, warps.to(power.device))
        with torch.autocast(power.device.type, enabled=_autocast_has_range(power.device.type)):
            return filters @ power


class PowerSpectrum(nn.Module):
    """Short-time Fourier transforms, squared.

    Args:
        window: of one transform; a shorter one than the transform stands in its middle.
        fft_size: samples of one transform.
        hop: samples between transforms.
    """

    def __init__(self, window: Tensor, fft_size: int, hop: int) -> None:
        super().__init__()
        self.fft_size, self.hop = fft_size, hop
        self.window: Tensor
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """[batch, samples] -> [batch, fft_size // 2 + 1, steps]; the first transform begins with the first sample."""
        spectrum = torch.stft(
            waveforms, self.fft_size, self.hop, len(self.window), window=self.window, center=False, return_complex=True
        )
        return spectrum.real**2 + spectrum.imag**2

    def by_convolution(self) -> nn.Module:
        """The same as a convolution, for runtimes whose Fourier transforms are slow."""
        return _ConvolvedPower(self.window, self.fft_size, self.hop)


class _ConvolvedPower(nn.Module):
    """Cosines and sines of each frequency as kernels of a convolution."""

    def __init__(self, window: Tensor, fft_size: int, hop: int) -> None:
        super().__init__()
        self.hop = hop
        before = (fft_size - len(window)) // 2
        padded = F.pad(window.double(), (before, fft_size - len(window) - before))
        places, frequencies = torch.arange(fft_size), torch.arange(fft_size // 2 + 1)[:, None]
        # The product is reduced first: of large angles, cosines are less exact.
        angles = (places * frequencies % fft_size).double() * (2 * torch.pi / fft_size)
        kernels = torch.cat([angles.cos(), angles.sin()]) * padded
        self.kernels: Tensor
        self.register_buffer("kernels", kernels[:, None].float(), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """As that of `PowerSpectrum`."""
        real, imaginary = F.conv1d(waveforms[:, None], self.kernels, stride=self.hop).chunk(2, dim=1)
        return real**2 + imaginary**2


class LogMel(nn.Module):
    """Whisper's log-mel spectrogram, each utterance normalized by its own maximum.

    An utterance is taken to be followed by silence, as it is when padded to 30 s, so its bins are those of
    the padded original whatever stands beside it in a batch.
    """

    def __init__(self, num_mel_bins: int) -> None:
        super().__init__()
        self.mel = MelFilters(mel_filters(num_mel_bins, WINDOW))
        self.power = PowerSpectrum(torch.hann_window(WINDOW), WINDOW, HOP)

    @torch.no_grad()
    def forward(self, waveforms: Tensor, num_samples: Tensor, warps: Tensor | None = None) -> Tensor:
        """[batch, samples], [batch] -> [batch, mel bins, samples // 160], zero beyond each length.

        Fewer than 400 samples are extended to 400, so that there always is a bin. `warps` [batch] are what each
        utterance's frequencies are multiplied with.
        """
        waveforms = at_least(waveforms, WINDOW)
        # Reflection on the left, as in the original; on the right the silence that follows.
        padded = F.pad(waveforms, (0, WINDOW // 2))
        padded = torch.cat([padded[:, 1 : WINDOW // 2 + 1].flip(1), padded], dim=1)
        size = waveforms.shape[1] // HOP
        power = self.power(padded)[..., :size]
        log_mel = cast(Tensor, self.mel(power, warps)).clamp_(min=1e-10).log10_()
        valid = valid_positions(num_samples // HOP, size)[:, None]
        loudest = log_mel.masked_fill(~valid, -10.0).amax(dim=(1, 2), keepdim=True)
        log_mel = torch.maximum(log_mel, loudest - _DYNAMIC_RANGE)
        return ((log_mel + 4.0) / 4.0).masked_fill_(~valid, 0.0)


def warped(filters: Tensor, warps: Tensor) -> Tensor:
    """[mel bins, frequencies], factors [batch] -> filters for frequencies that are multiplied with them [batch, ...].

    Up to the formants' region all are multiplied, above it they are moved so that the highest one stays (Jaitly and
    Hinton, 2013, Vocal tract length perturbation improves speech recognition).
    """
    last = filters.shape[1] - 1
    places = torch.arange(last + 1, device=warps.device) * (_HIGHEST / last)
    even = _FORMANTS * warps.clamp(max=1.0) / warps  # up to here they are multiplied
    slope = (_HIGHEST - even * warps) / (_HIGHEST - even)
    factors, even, slope = warps[:, None], even[:, None], slope[:, None]
    moved = torch.where(places <= even, places * factors, _HIGHEST - slope * (_HIGHEST - places))
    moved = (moved * (last / _HIGHEST)).clamp(0.0, last)
    below = moved.long().clamp(max=last - 1)
    above_share = (moved - below)[:, None]
    table = filters[:, below].transpose(0, 1), filters[:, below + 1].transpose(0, 1)
    return torch.lerp(*table, above_share)


def centered_bands(log_mel: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """[batch, steps, bands] without each band's mean over the valid steps [batch, steps, 1], and the bands' variances.

    Where not valid it is undefined. The variances [batch, 1, bands] are those of a sample; of one step they are 0.
    """
    # The mean of equal numbers is off by a rounding, which a division by no deviation makes large: in silence, an
    # utterance would depend on its padding. The difference from the first step is exactly zero there.
    log_mel = log_mel - log_mel[:, :1]
    count = valid.sum(1, keepdim=True)
    centered = log_mel - log_mel.masked_fill(~valid, 0.0).sum(1, keepdim=True) / count.clamp(min=1)
    variance = centered.masked_fill(~valid, 0.0).square().sum(1, keepdim=True) / (count - 1).clamp(min=1)
    return centered, variance


def masked_spectrogram(features: Tensor, num_steps: Tensor, mask: FrameMask) -> Tensor:
    """[batch, steps, mel bins], steps [batch] -> the same with what is masked set to the mean of its utterance."""
    own = valid_positions(num_steps.clamp(min=1), features.shape[1])[..., None]
    mean = (features * own).sum(dim=(1, 2), keepdim=True) / (own.sum(dim=1, keepdim=True) * features.shape[2])
    return torch.where(own, mask(features, mean), features)


def _autocast_has_range(device_type: str) -> bool:
    """Whether autocast is on in a type that holds a power spectrum; float16 ends at 65,504, below loud sound."""
    return torch.is_autocast_enabled(device_type) and torch.get_autocast_dtype(device_type) != torch.float16
