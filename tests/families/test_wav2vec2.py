from __future__ import annotations

import copy
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2FeatureExtractor

from speechxfer.encoders import few_at_once, load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError, ConfigError
from tests.encoders.conftest import TINY, VARIANTS, noise, reference

TOLERANCE = 1e-4
Saved = Callable[[str], Path]
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def load(folder: Path) -> Encoder:
    config, state = find(str(folder)).read()
    return load_encoder("tiny", config, state).eval()


def inputs(waveform: np.ndarray, *, do_normalize: bool = True) -> torch.Tensor:
    extractor = Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    return torch.from_numpy(extractor(waveform, sampling_rate=16_000)["input_values"][0])[None]


@every_variant
@pytest.mark.parametrize("at_once_s", [0.0, 3.0, 100.0])
def test_neighbors_and_padding_change_nothing(
    saved: Saved, variant: str, at_once_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = [16_000, 400, 5_000, 24_001, 399, 719, 7, 30_000]
    waveforms = [noise(length, length) for length in lengths]
    waveforms[2] *= 1e-3
    ours = load(saved(variant))
    with torch.no_grad():
        alone = [ours(*ours.collate([waveform])) for waveform in waveforms]
        # A GPU takes many utterances through the convolutions together, a CPU one by one.
        monkeypatch.setitem(few_at_once._AT_ONCE_S, "cpu", at_once_s)
        together, num_frames = ours(*ours.collate(waveforms))
    assert num_frames.tolist() == [49, 1, 15, 74, 0, 1, 0, 93]
    assert torch.isfinite(together).all()
    for row, (states, own), count in zip(together, alone, num_frames.tolist(), strict=True):
        assert own.item() == count
        size = max(count, 1)
        assert (row[:size] - states[0, :size]).abs().max() < TOLERANCE


@pytest.mark.parametrize("masked", [False, True])
def test_the_originals_group_norm_looks_at_padding(saved: Saved, masked: bool) -> None:
    """What is avoided here: the reference moves by far more than the tolerance, with an attention mask or without."""
    short, long = noise(16_000, 1), noise(32_000, 2)
    rows = [inputs(short)[0], inputs(long)[0]]
    batch = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.tensor([[1] * 16_000 + [0] * 16_000, [1] * 32_000]) if masked else None
    original, ours = reference("wav2vec2"), load(saved("wav2vec2"))
    with torch.no_grad():
        alone = original(rows[0][None]).last_hidden_state[0]
        together = original(batch, attention_mask=mask).last_hidden_state[0, : len(alone)]
        found = ours(*ours.collate([short, long]))[0][0, : len(alone)]
    assert (together - alone).abs().max() > 1000 * TOLERANCE
    assert (found - alone).abs().max() < TOLERANCE


def test_channels_may_be_hidden_in_the_upper_half_only() -> None:
    ours = untrained()
    assert ours.depth == 3
    assert [ours.maskable_width(cut) for cut in range(4)] == [0, 0, ours.width, ours.width]


@functools.cache
def untrained() -> Encoder:
    return restore_encoder({"family": "wav2vec2", "config": TINY, "options": {}})


@given(st.integers(0, 400_000))
@settings(max_examples=200)
def test_the_number_of_frames_is_exact(num_samples: int) -> None:
    ours = untrained()
    expected = max(int(ours.modules_._get_feat_extract_output_lengths(torch.tensor(num_samples))), 0)
    assert ours.num_frames(num_samples) == expected
    assert ours.num_frames(torch.tensor([num_samples, 0])).tolist() == [expected, 0]


def test_frames_are_as_many_as_the_convolutions_give(saved: Saved) -> None:
    ours = load(saved("wav2vec2"))
    for num_samples, frames in ((16_000, 49), (400, 1), (399, 0), (719, 1), (720, 2)):
        hidden, num_frames = ours.frontend(*ours.collate([noise(num_samples)]))
        assert (ours.num_frames(num_samples), num_frames.item()) == (frames, frames)
        assert hidden.shape[1] == max(frames, 1)
    assert ours.frame_rate == 50.0


@every_variant
@pytest.mark.parametrize("seam", [0, 1, 2])
def test_what_lies_above_the_seam_is_trained_and_nothing_else(saved: Saved, variant: str, seam: int) -> None:
    ours = load(saved(variant))
    ours.set_dropout(0.5)
    ours.freeze([group for group in ours.layer_groups() if group.seam <= seam])
    torch.nn.Sequential(ours).train()
    hidden, num_frames = ours.frontend(*ours.collate([noise(9_000)]))
    first, second = (ours.run(hidden, num_frames, 0, seam) for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad
    top, again = (ours.run(first, num_frames, seam, ours.depth) for _ in range(2))
    assert not torch.equal(top, again)
    top.square().sum().backward()
    for group in ours.layer_groups():
        for parameter in group.parameters():
            assert (parameter.grad is None) == (group.seam <= seam), group.name


def test_the_usual_practice_freezes_the_convolutions_alone(saved: Saved) -> None:
    groups = load(saved("wav2vec2")).layer_groups()
    assert [(group.name, group.seam) for group in groups[:3]] == [
        ("convolutions", 0),
        ("projection", 1),
        ("layer 0", 1),
    ]


@every_variant
def test_a_description_is_enough_to_build_it_again(saved: Saved, variant: str) -> None:
    ours = load(saved(variant))
    ours.set_pooling(1, 2, "learned")
    again = restore_encoder(json.loads(json.dumps(ours.describe()))).eval()
    again.load_state_dict(ours.state_dict())
    batch = ours.collate([noise(9_000)])
    with torch.no_grad():
        assert torch.equal(ours(*batch)[0], again(*batch)[0])
    assert again.describe() == ours.describe()


@pytest.mark.parametrize("file", ["preprocessor_config.json", "processor_config.json"])
def test_waveforms_are_left_alone_where_the_preprocessor_says_so(tmp_path: Path, saved: Saved, file: str) -> None:
    folder = shutil.copytree(saved("wavlm-stable"), tmp_path / "copy")
    values = {"do_normalize": False, "feature_extractor_type": "Wav2Vec2FeatureExtractor"}
    nested = {"feature_extractor": values, "processor_class": "Wav2Vec2Processor"}
    (folder / file).write_text(json.dumps(nested if file.startswith("processor") else values))
    ours, waveform = load(folder), noise(9_000)
    ours = restore_encoder(ours.describe()).eval()
    ours.load_state_dict(load(folder).state_dict())
    with torch.no_grad():
        expected = reference("wavlm-stable")(torch.from_numpy(waveform)[None]).last_hidden_state
        assert (ours(*ours.collate([waveform]))[0] - expected).abs().max() < TOLERANCE


def test_silence_is_no_division_by_zero(saved: Saved) -> None:
    ours = load(saved("wav2vec2"))
    assert torch.isfinite(ours(*ours.collate([np.zeros(8_000, np.float32), noise(9_000)]))[0]).all()


@pytest.mark.parametrize(
    ("variant", "head"),
    [
        ("wav2vec2", "ForPreTraining"),
        ("wav2vec2", "ForCTC"),
        ("hubert", "ForCTC"),
        ("wavlm", "ForSequenceClassification"),
        ("data2vec-audio", "ForCTC"),
    ],
)
def test_a_checkpoint_may_have_any_head(tmp_path: Path, variant: str, head: str) -> None:
    original = reference(variant, head=head)
    original.save_pretrained(tmp_path)
    ours = load(tmp_path)
    for name, tensor in original.base_model.state_dict().items():
        assert torch.equal(ours.modules_.state_dict()[name], tensor), name


def test_the_older_names_of_a_weight_norm_are_read(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("hubert"), tmp_path / "copy")
    state = load_file(folder / "model.safetensors")
    kinds = (("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v"))
    for new, old in kinds:
        state = {name.replace(new, old): tensor for name, tensor in state.items()}
    assert "encoder.pos_conv_embed.conv.weight_g" in state
    save_file(state, folder / "model.safetensors")
    old, new = load(folder).state_dict(), load(saved("hubert")).state_dict()
    assert all(torch.equal(old[name], tensor) for name, tensor in new.items())


def test_an_adapter_above_the_encoder_is_left_out(tmp_path: Path) -> None:
    original = reference("wav2vec2")
    config = copy.deepcopy(original.config)
    config.add_adapter, config.num_adapter_layers = True, 1
    with_adapter = type(original)(config)
    with_adapter.load_state_dict(original.state_dict(), strict=False)
    with_adapter.save_pretrained(tmp_path)
    ours = load(tmp_path)
    assert not [name for name in ours.state_dict() if "adapter" in name]


@pytest.mark.parametrize("lost", ["feature_projection.projection.weight", "encoder.layers.2.layer_norm.bias"])
def test_weights_that_are_missing_are_reported(saved: Saved, lost: str) -> None:
    config, state = find(str(saved("wav2vec2"))).read()
    del state[f"wav2vec2.{lost}"]
    with pytest.raises(CheckpointError, match=f"Missing key.*{lost}"):
        load_encoder("tiny", config, state)


def test_layers_too_many_are_reported(saved: Saved) -> None:
    config, state = find(str(saved("wav2vec2"))).read()
    with pytest.raises(CheckpointError, match=r"Unexpected key.*encoder\.layers\.2"):
        load_encoder("tiny", {**config, "num_hidden_layers": 2}, state)


def test_an_option_of_another_family_is_refused(saved: Saved) -> None:
    config, state = find(str(saved("wav2vec2"))).read()
    load_encoder("tiny", config, state, pad_to_30s=False)
    with pytest.raises(ConfigError, match=r"whisper\.pad_to_30s is set, but a wav2vec2 encoder"):
        load_encoder("tiny", config, state, pad_to_30s=True)


def test_a_variant_that_cannot_be_kept_invariant_is_refused() -> None:
    with pytest.raises(CheckpointError, match="conv_pos_batch_norm"):
        restore_encoder({"family": "hubert", "config": {"conv_pos_batch_norm": True}, "options": {}})


def test_pooled_frames_stand_as_far_apart_as_what_they_are_made_of(saved: Saved) -> None:
    attention = load(saved("wavlm")).modules_.encoder.layers[0].attention
    assert torch.equal(attention.relative_bias(40, 3), attention.relative_bias(120, 1)[:, :, ::3, ::3])
    ours = load(saved("wavlm"))
    ours.set_pooling(1, 3)
    states, num_frames = torch.randn(1, 30, 32), torch.tensor([30])
    with torch.no_grad():
        found = ours.run(states, num_frames, 1, 2)
        pooled = states.view(1, 10, 3, 32).mean(2)
        expected, _ = ours.modules_.encoder.layers[1](pooled, None, attention.relative_bias(10, 3))
    assert torch.allclose(found, expected, atol=TOLERANCE)


def test_the_table_of_positions_learns_from_all_layers(saved: Saved) -> None:
    ours, original = load(saved("wavlm")), reference("wavlm")
    waveform = noise(9_000)
    ours(*ours.collate([waveform]))[0].square().sum().backward()
    original(inputs(waveform)).last_hidden_state.square().sum().backward()
    for name in ("layers.0.attention.rel_attn_embed.weight", "layers.2.attention.gru_rel_pos_const"):
        expected = original.encoder.get_parameter(name).grad
        found = ours.modules_.encoder.get_parameter(name).grad
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())), name
