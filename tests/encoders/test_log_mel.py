"""The filters of log-mel spectrograms."""

from __future__ import annotations

import pytest
import torch
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor

from speechxfer.encoders.log_mel import WINDOW, mel_filters


@pytest.mark.parametrize(("num_mel_bins", "fft_size"), [(80, WINDOW), (128, WINDOW), (80, 512), (128, 512)])
def test_the_filters_are_those_of_torchaudio(num_mel_bins: int, fft_size: int) -> None:
    functional = pytest.importorskip("torchaudio.functional")
    reference = functional.melscale_fbanks(
        1 + fft_size // 2, 0.0, 8000.0, num_mel_bins, 16_000, norm="slaney", mel_scale="slaney"
    )
    filters = mel_filters(num_mel_bins, fft_size)
    assert (filters.dtype, filters.is_contiguous()) == (torch.float32, True)
    # torchaudio computes them in float32.
    torch.testing.assert_close(filters, reference.T, rtol=0, atol=1e-5 * float(reference.max()))


def test_the_filters_are_those_of_whisper() -> None:
    reference = torch.from_numpy(WhisperFeatureExtractor(feature_size=80).mel_filters).float()
    assert torch.equal(mel_filters(80, WINDOW), reference.T)
