"""w2v-BERT 2.0: its spectrogram, its positions and what is left out of its checkpoints."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
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
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.opening import open_checkpoint
from tests.families.tiny import noise
from tests.families.tiny_wav2vec2_bert import CONFIG, build, extracted

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("w2v-bert")
    build().save_pretrained(made)
    return made


def load(folder: Path) -> Encoder:
    return load_encoder("tiny", *find(str(folder)).read()).eval()


@functools.cache
def untrained() -> Encoder:
    return restore_encoder({"family": "wav2vec2-bert", "config": CONFIG, "options": {}}).eval()


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
        expected = build()(**inputs).last_hidden_state[:, : int(inputs["attention_mask"].sum())]
        found, num_frames = ours(*ours.collate([waveform]))
    assert num_frames.item() == expected.shape[1]
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < TOLERANCE


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
    build("ForCTC", add_adapter=True, use_intermediate_ffn_before_adapter=True).save_pretrained(tmp_path)
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
        restore_encoder({"family": "wav2vec2-bert", "config": {**CONFIG, **changes}, "options": {}})


def test_another_spectrogram_is_refused(folder: Path, tmp_path: Path) -> None:
    """As many features, but of other bands."""
    shutil.copytree(folder, tmp_path / "model")
    settings = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "num_mel_bins": 40, "stride": 4}
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json: num_mel_bins is 40, but .* takes 80"):
        open_checkpoint(find(str(tmp_path / "model")))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_classifier_opens_with_the_original_s_logits(tmp_path: Path, weighted: bool) -> None:
    original = build("ForSequenceClassification", num_labels=3, classifier_proj_size=8, use_weighted_layer_sum=weighted)
    original.save_pretrained(tmp_path)
    opened, waveform = open_checkpoint(find(str(tmp_path))), noise(16_000)
    assert isinstance(opened.head, ClassificationHead), opened.problem
    with torch.no_grad():
        found = opened.head.eval()(*opened.encoder.eval()(*opened.encoder.collate([waveform])))
        assert torch.allclose(found, original(**extracted(waveform)).logits, atol=TOLERANCE)


def test_a_ctc_head_opens_with_the_original_s_logits(tmp_path: Path) -> None:
    original = build("ForCTC", pad_token_id=0)
    original.save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(["<pad>", *"|abcde"])})
    )
    opened, waveform = open_checkpoint(find(str(tmp_path))), noise(16_000)
    assert isinstance(opened.head, CTCHead), opened.problem
    with torch.no_grad():
        found = opened.head.logits(opened.encoder.eval()(*opened.encoder.collate([waveform]))[0])
        assert torch.allclose(found, original(**extracted(waveform)).logits[:, : found.shape[1]], atol=TOLERANCE)
