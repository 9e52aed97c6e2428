from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from speechxfer.config import AugmentConfig
from speechxfer.data.augment import Distortion, distortion
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.encoders.log_mel import LogMel

TOLERANCE = 1e-4


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    loudness = 0.05 + 0.3 * np.sin(np.arange(num_samples) / 5000) ** 2
    return (chance.standard_normal(num_samples) * loudness).astype(np.float32)


def encoder(folder: Path, *, pad_to_30s: bool = False) -> Encoder:
    config, state = find(str(folder)).read()
    return load_encoder("tiny", config, state, pad_to_30s=pad_to_30s).eval()


def test_unpadded_it_is_the_originals_modules_called_one_by_one(whisper_folder: Path) -> None:
    waveform = noise(33_333)
    features = WhisperFeatureExtractor()(waveform, sampling_rate=16_000, return_tensors="pt").input_features
    modules = WhisperForConditionalGeneration.from_pretrained(whisper_folder).eval().model.encoder
    ours = encoder(whisper_folder)
    with torch.no_grad():
        cut = features[:, :, : 33_333 // 160]
        hidden = torch.nn.functional.gelu(modules.conv1(cut))
        hidden = torch.nn.functional.gelu(modules.conv2(hidden)).transpose(1, 2)
        hidden = hidden + modules.embed_positions.weight[: hidden.shape[1]]
        for layer in modules.layers:
            hidden = layer(hidden, None)
        expected = modules.layer_norm(hidden)
        found, num_frames = ours(*ours.collate([waveform]))
    assert num_frames.tolist() == [expected.shape[1]]
    assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("quiet", [1.0, 1e-3])
def test_neighbors_and_padding_change_nothing(whisper_folder: Path, quiet: float) -> None:
    lengths = [400, 5_000, 16_000, 24_001, 47_999, 161, 30_000, 48_000]
    waveforms = [noise(length, length) for length in lengths]
    waveforms[2] = waveforms[2] * quiet  # a shared maximum would change most of a quiet clip's bins
    ours = encoder(whisper_folder)
    with torch.no_grad():
        together, num_frames = ours(*ours.collate(waveforms))
        for row, waveform, count in zip(together, waveforms, num_frames.tolist(), strict=True):
            alone, own_count = ours(*ours.collate([waveform]))
            assert own_count.item() == count
            assert (row[:count] - alone[0]).abs().max() < TOLERANCE


@given(st.integers(1, 20_000))
@settings(max_examples=40)
def test_the_number_of_frames_is_exact(num_samples: int) -> None:
    log_mel = LogMel(80)(torch.zeros(1, num_samples), torch.tensor([num_samples]))
    assert log_mel.shape[2] == max(num_samples, 400) // 160
    mel_frames = num_samples // 160
    conv = (mel_frames - 1) // 2 + 1 if mel_frames else 0  # kernel 3, stride 2, padding 1
    from speechxfer.families.whisper.encoder import WhisperEncoder

    assert WhisperEncoder.num_frames(None, num_samples) == conv  # type: ignore[arg-type]


def test_frozen_parts_stay_in_eval_mode_and_without_gradient(whisper_folder: Path) -> None:
    ours = encoder(whisper_folder)
    ours.set_dropout(0.5)
    ours.freeze(ours.layer_groups()[:2])
    torch.nn.Sequential(ours).train()
    hidden, num_frames = ours.frontend(*ours.collate([noise(20_000)]))
    first, second = (ours.run(hidden, num_frames, 0, 1) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad
    top = [ours.run(first, num_frames, 1, 2) for _ in range(2)]
    assert not torch.equal(*top)
    assert top[0].requires_grad


def test_a_waveform_shorter_than_a_frame_is_no_frame(whisper_folder: Path) -> None:
    ours = encoder(whisper_folder)
    for lengths, counts in (([100, 3_200], [0, 10]), ([1, 100], [0, 0])):
        hidden, num_frames = ours(*ours.collate([noise(length) for length in lengths]))
        assert num_frames.tolist() == counts
        assert torch.isfinite(hidden).all()


def test_a_warped_tone_is_heard_where_the_factor_puts_it() -> None:
    def loudest_band(frequency: float, warp: float | None) -> int:
        time = torch.arange(16_000) / 16_000
        warps = None if warp is None else torch.tensor([warp])
        log_mel = LogMel(80)(torch.sin(2 * torch.pi * frequency * time)[None], torch.tensor([16_000]), warps)
        return int(log_mel[0, :, 50].argmax())

    assert loudest_band(1_000, 1.2) == loudest_band(1_200, None)
    assert loudest_band(1_000, 0.8) == loudest_band(800, None)
    assert loudest_band(1_000, 1.0) == loudest_band(1_000, None)
    assert loudest_band(7_990, 0.8) == loudest_band(7_990, 1.2) == loudest_band(7_990, None)  # the highest one stays


@pytest.mark.parametrize("pad_to_30s", [False, True])
def test_what_is_done_to_a_spectrogram_does_not_depend_on_neighbors(pad_to_30s: bool, whisper_folder: Path) -> None:
    ours = encoder(whisper_folder, pad_to_30s=pad_to_30s)
    waveforms, seeds = [noise(20_000), noise(9_000, 1), noise(31_000, 2)], [(1, index) for index in range(3)]
    config = AugmentConfig(where="spectrogram", mask_time_prob=0.2, mask_feature_prob=0.3, frequency_warp=0.2)

    def hidden(chosen: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        batch, num_samples = ours.collate([waveforms[index] for index in chosen])
        steps = ours.num_steps(num_samples)
        change = distortion([seeds[index] for index in chosen], steps, ours.mel_bands, config)
        return ours.frontend(batch, num_samples, change)

    with torch.no_grad():
        together, num_frames = hidden([0, 1, 2])
        for row, count in enumerate(num_frames.tolist()):
            assert (hidden([row])[0][0, :count] - together[row, :count]).abs().max() < TOLERANCE
        plain, _ = ours.frontend(*ours.collate(waveforms))
        assert (plain - together).abs().max() > 100 * TOLERANCE


def test_what_is_hidden_of_a_spectrogram_sounds_like_its_mean(whisper_folder: Path) -> None:
    ours: Any = encoder(whisper_folder)
    batch, num_samples = ours.collate([noise(20_000), noise(9_000, 1)])
    plain = ours.features(batch, num_samples)
    steps = ours.num_steps(num_samples)
    config = AugmentConfig(where="spectrogram", mask_time_prob=0.0, mask_feature_prob=0.3)
    mask = distortion([(1, 0), (1, 1)], steps, ours.mel_bands, config).mask
    assert mask is not None
    changed = ours.features(batch, num_samples, Distortion(None, mask))
    for row, size in enumerate(steps.tolist()):
        bands = mask.features[row]
        assert bands.any()
        assert torch.equal(changed[row, ~bands], plain[row, ~bands])
        assert torch.allclose(changed[row, bands, :size], plain[row, :, :size].mean(), atol=1e-5)
