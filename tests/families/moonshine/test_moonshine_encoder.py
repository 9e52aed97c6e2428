"""What is particular to Moonshine's encoder, beside `test_contracts.py`."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.encoders import few_at_once, load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError
from speechxfer.families.moonshine.encoder import MoonshineEncoder
from speechxfer.opening import open_checkpoint
from tests.encoders.conftest import noise
from tests.families.tiny_moonshine import CONFIG, moonshine, save

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("moonshine")
    save(moonshine(), path)
    return path


@pytest.fixture
def ours(folder: Path) -> Encoder:
    config, state = find(str(folder)).read()
    return load_encoder("tiny", config, state).eval()


@pytest.mark.parametrize("at_once_s", [0.0, 3.0, 100.0])
@torch.no_grad()
def test_neighbors_and_padding_change_nothing_however_many_go_through_the_convolutions(
    ours: Encoder, at_once_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waveforms = [noise(length, length) for length in (16_000, 895, 5_000, 24_001, 894, 130, 7, 30_000)]
    waveforms[2] *= 1e-3
    alone = [ours(*ours.collate([sound])) for sound in waveforms]
    # A GPU takes many utterances through the convolutions together, a CPU one by one.
    monkeypatch.setitem(few_at_once._AT_ONCE_S, "cpu", at_once_s)
    together, num_frames = ours(*ours.collate(waveforms))
    assert num_frames.tolist() == [40, 1, 11, 61, 0, 0, 0, 76]
    assert torch.isfinite(together).all()
    for row, (states, own), count in zip(together, alone, num_frames.tolist(), strict=True):
        assert own.item() == count
        size = max(count, 1)
        assert (row[:size] - states[0, :size]).abs().max() < TOLERANCE


@functools.cache
def restored() -> Encoder:
    return restore_encoder({"family": "moonshine", "config": CONFIG, "options": {}})


@given(st.integers(0, 400_000))
@settings(max_examples=200)
def test_the_number_of_frames_is_exact(num_samples: int) -> None:
    frames = num_samples
    for kernel, stride in ((127, 64), (7, 3), (3, 2)):
        frames = max((frames - kernel) // stride + 1, 0)
    ours = restored()
    assert ours.num_frames(num_samples) == frames
    assert ours.frame_rate == pytest.approx(41.67, abs=0.01)
    assert ours.num_frames(torch.tensor([num_samples, 0])).tolist() == [frames, 0]


@torch.no_grad()
def test_pooled_frames_stand_as_far_apart_as_what_they_are_made_of(ours: Encoder) -> None:
    ours.set_pooling(1, 3)
    states, num_frames = torch.randn(1, 30, 32), torch.tensor([30])
    found = ours.run(states, num_frames, 1, 2)
    modules = ours.modules_
    rotation = modules.rotary_emb(states, 3 * torch.arange(10)[None])
    expected = modules.layers[1](states.view(1, 10, 3, 32).mean(2), None, rotation)
    assert torch.allclose(found, expected, atol=TOLERANCE)
    unaware = modules.layers[1](
        states.view(1, 10, 3, 32).mean(2), None, modules.rotary_emb(states, torch.arange(10)[None])
    )
    assert (found - unaware).abs().max() > 10 * TOLERANCE


def test_dropout_is_on_what_trained_layers_add(ours: Encoder) -> None:
    ours.set_dropout(0.5)
    ours.freeze([group for group in ours.layer_groups() if group.seam <= 1])
    torch.nn.Sequential(ours).train()
    hidden, num_frames = ours.frontend(*ours.collate([noise(9_000)]))
    first, second = (ours.run(hidden, num_frames, 0, 1) for _ in range(2))
    assert torch.equal(first, second)
    top, other = (ours.run(first, num_frames, 1, ours.depth) for _ in range(2))
    assert not torch.equal(top, other)


def test_fewer_layers_are_noted_where_the_original_looks(ours: Encoder) -> None:
    ours.drop_top(1)
    config = ours.describe()["config"]
    assert (config["encoder_num_hidden_layers"], config["decoder_num_hidden_layers"]) == (2, 2)
    assert restore_encoder(json.loads(json.dumps(ours.describe()))).depth == 2


def test_rotary_positions_that_depend_on_the_batch_are_refused() -> None:
    rotation = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0, "partial_rotary_factor": 0.62}
    with pytest.raises(CheckpointError, match="rotary positions of type 'dynamic' are not supported; wanted 'default'"):
        MoonshineEncoder.build({**CONFIG, "rope_parameters": rotation}, {})


def test_the_streaming_variant_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "moonshine_streaming"}')
    with pytest.raises(CheckpointError, match=r"is a 'moonshine_streaming' model; wanted one of: .*moonshine"):
        open_checkpoint(find(str(tmp_path)))
