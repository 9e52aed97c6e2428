"""w2v-BERT 2.0: its spectrogram, its positions and what is left out of its checkpoints."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechxfer.config import AugmentConfig
from speechxfer.data.augment import Distortion, distortion
from speechxfer.encoders import load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError
from speechxfer.families.wav2vec2_bert.log_mel import KaldiLogMel
from speechxfer.opening import open_checkpoint
from tests.encoders.conftest import noise

TOLERANCE = 1e-4
TINY = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_depthwise_kernel_size": 7, "left_max_position_embeddings": 6, "right_max_position_embeddings": 3,
}  # fmt: skip


def original(head: str = "Model", **changes: Any) -> Any:
    """The reference with random weights, at a scale where differences are visible."""
    torch.manual_seed(0)
    config = transformers.Wav2Vec2BertConfig(**{**TINY, "vocab_size": 7, **changes})
    model = getattr(transformers, f"Wav2Vec2Bert{head}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape) * parameter.std(correction=0).clamp(min=0.1))
        for name, parameter in model.named_parameters():
            if "distance_embedding" in name or "linear_q" in name:
                parameter.normal_()  # so that distances decide what is attended to
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("w2v-bert")
    original().save_pretrained(made)
    return made


def load(folder: Path) -> Encoder:
    return load_encoder("tiny", *find(str(folder)).read()).eval()


@functools.cache
def untrained() -> Encoder:
    return restore_encoder({"family": "wav2vec2-bert", "config": TINY, "options": {}}).eval()


def extracted(*waveforms: np.ndarray) -> dict[str, Tensor]:
    """What the reference's own extractor makes of waveforms."""
    extractor = transformers.SeamlessM4TFeatureExtractor()
    return dict(extractor(list(waveforms), sampling_rate=16_000, return_tensors="pt"))


def tone(num_samples: int) -> np.ndarray:
    """Loud in one band and silent in the others, where rounding would show."""
    times = np.arange(num_samples) / 16_000
    return (np.sin(2 * np.pi * 440 * times) * (0.5 + 0.4 * np.sin(4 * np.pi * times))).astype(np.float32)


@pytest.mark.parametrize("waveform", [noise(20_123), noise(9_000) * 1e-3, tone(16_000)])
def test_the_spectrogram_is_the_original_s(waveform: np.ndarray) -> None:
    expected = extracted(waveform)["input_features"]
    found, num_frames = untrained().frontend(*untrained().collate([waveform]))
    assert (found - expected[:, : found.shape[1]]).abs().max() < TOLERANCE
    assert num_frames.item() == extracted(waveform)["attention_mask"].sum()


def test_silence_is_no_division_by_zero() -> None:
    """Where no band changes, the original gives what rounding leaves of 0."""
    found, _ = untrained().frontend(*untrained().collate([np.zeros(8_000, np.float32), noise(9_000)]))
    assert found[0].abs().max() < TOLERANCE
    assert torch.isfinite(untrained()(*untrained().collate([np.zeros(8_000, np.float32)]))[0]).all()


@pytest.mark.parametrize("num_samples", [20_000, 20_123, 20_160])  # the last step stands alone, or in a pair
def test_an_utterance_alone_comes_out_as_from_the_original(folder: Path, num_samples: int) -> None:
    waveform, ours = noise(num_samples), load(folder)
    inputs = extracted(waveform)
    with torch.no_grad():
        expected = original()(**inputs).last_hidden_state[:, : int(inputs["attention_mask"].sum())]
        found, num_frames = ours(*ours.collate([waveform]))
    assert num_frames.item() == expected.shape[1]
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < TOLERANCE


def test_the_original_itself_moves_as_little_in_a_batch() -> None:
    """Its masks are right, so that the tolerance holds for both."""
    short, long = noise(16_000, 1), noise(32_000, 2)
    with torch.no_grad():
        alone = original()(**extracted(short)).last_hidden_state[0]
        together = original()(**extracted(short, long)).last_hidden_state[0, : len(alone)]
    assert (together - alone)[:49].abs().max() < TOLERANCE


@pytest.mark.parametrize("training", [False, True])  # without dropout
def test_neighbors_and_padding_change_nothing(folder: Path, training: bool) -> None:
    lengths = [16_000, 560, 5_000, 24_001, 559, 399, 7, 30_000]
    waveforms = [noise(length, length) for length in lengths]
    waveforms[2] *= 1e-3
    ours = load(folder).train(training)
    with torch.no_grad():
        alone = [ours(*ours.collate([waveform])) for waveform in waveforms]
        together, num_frames = ours(*ours.collate(waveforms))
    assert num_frames.tolist() == [49, 1, 14, 74, 0, 0, 0, 93]
    assert torch.isfinite(together).all()
    for row, (states, own), count in zip(together, alone, num_frames.tolist(), strict=True):
        assert own.item() == count
        if count:
            assert (row[:count] - states[0, :count]).abs().max() < TOLERANCE


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_the_stack_can_be_cut_anywhere(folder: Path, cut: int) -> None:
    ours = load(folder)
    with torch.no_grad():
        hidden, num_frames = ours.frontend(*ours.collate([noise(20_000), noise(9_000)]))
        whole = ours.run(hidden, num_frames, 0, ours.depth)
        below = ours.run(hidden, num_frames, 0, cut)
        assert below.shape[2] == ours.width_at(cut)
        assert torch.equal(whole, ours.run(below, num_frames, cut, ours.depth))


@given(st.integers(0, 400_000))
@settings(max_examples=100)
def test_the_number_of_frames_is_exact(num_samples: int) -> None:
    windows = max((num_samples - 400) // 160 + 1, 0)
    assert untrained().num_frames(num_samples) == windows // 2
    assert untrained().num_frames(torch.tensor([num_samples, 0])).tolist() == [windows // 2, 0]


@pytest.mark.parametrize("at", [0, 1])
def test_pooled_frames_stand_as_far_apart_as_what_they_are_made_of(folder: Path, at: int) -> None:
    """A layer on pooled frames, run by the original with the distances spelled out."""
    ours = load(folder)
    ours.set_pooling(at, 2)
    states = torch.randn(1, 20, ours.width_at(at))
    with torch.no_grad():
        found = ours.run(states, torch.tensor([20]), at, at + 1)
        entered = ours._enter(states, None) if at == 0 else states
        pooled = entered.view(1, 10, 2, -1).mean(2)
        layer = ours._layers[at]
        expected = layer(pooled, None, 2 * (torch.arange(10)[None, :] - torch.arange(10)[:, None]), None)
        closer = layer(pooled, None, torch.arange(10)[None, :] - torch.arange(10)[:, None], None)
    assert torch.allclose(found, expected, atol=TOLERANCE)
    assert not torch.allclose(found, closer, atol=0.01)


def test_spectrograms_are_masked_by_their_mean_and_never_beyond_the_utterance(folder: Path) -> None:
    ours, batch = load(folder), [noise(16_000, 1), noise(9_000, 2)]
    waveforms, lengths = ours.collate(batch)
    steps = ours.num_steps(lengths)
    config = AugmentConfig(where="spectrogram", mask_time_prob=0.3, mask_feature_prob=0.3)
    drawn = distortion([[1], [2]], steps, ours.mel_bands, config)
    plain, masked = ours.features(waveforms, lengths), ours.features(waveforms, lengths, drawn)
    assert drawn.mask is not None
    assert plain.shape == masked.shape == (2, 98, 80)
    hidden = drawn.mask.frames[:, :, None] | drawn.mask.features[:, None]
    assert hidden.any()
    assert torch.equal(masked, plain.masked_fill(hidden, 0.0))


def test_frequencies_can_be_scaled() -> None:
    """A band's maximum moves where a tone would; a factor of 1 changes nothing."""
    log_mel = KaldiLogMel()
    sound = torch.from_numpy(np.stack([noise(16_000, 3)] * 2))
    lengths, unchanged = torch.tensor([16_000, 16_000]), torch.tensor([1.0, 1.0])
    plain = log_mel(sound, lengths)
    assert torch.allclose(log_mel(sound, lengths, unchanged), plain, atol=TOLERANCE)
    warped = log_mel(sound, lengths, torch.tensor([1.0, 1.1]))
    assert torch.allclose(warped[0], plain[0], atol=TOLERANCE)
    assert not torch.allclose(warped[1], plain[1], atol=0.1)
    assert isinstance(Distortion(unchanged, None).warps, Tensor)


def test_what_add_adapter_puts_above_the_encoder_is_left_out_with_its_head(tmp_path: Path) -> None:
    original("ForCTC", add_adapter=True, use_intermediate_ffn_before_adapter=True).save_pretrained(tmp_path)
    opened = open_checkpoint(find(str(tmp_path)))
    assert not [name for name in opened.encoder.state_dict() if "adapter" in name or "ffn_before" in name]
    assert opened.head is None
    assert "add_adapter" in (opened.problem or "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_projection_input_dim": 240}, "feature_projection_input_dim is 240.*wanted 160"),
        ({"position_embeddings_type": "rotary"}, "position_embeddings_type is 'rotary'.*wanted 'relative_key'"),
    ],
)
def test_another_shape_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        restore_encoder({"family": "wav2vec2-bert", "config": {**TINY, **changes}, "options": {}})
