from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechxfer.encoders import load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder, valid_positions
from speechxfer.encoders.checkpoints import find
from speechxfer.encoders.pooling import FramePooling
from speechxfer.errors import ConfigError
from tests.encoders.conftest import noise

TOLERANCE = 1e-4
FAMILIES = ("whisper", "wav2vec2", "wav2vec2-stable", "wavlm", "data2vec-audio")
Saved = Callable[[str], Path]


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest, saved: Saved, whisper_folder: Path) -> Encoder:
    folder = whisper_folder if request.param == "whisper" else saved(request.param)
    return load_encoder("tiny", *find(str(folder)).read()).eval()


def by_hand(states: Tensor, stride: int) -> Tensor:
    return torch.stack([group.mean(0) for group in states.split(stride)])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(2, 7), st.sampled_from(["mean", "learned"]))
@settings(max_examples=60)
def test_each_group_becomes_the_mean_of_its_valid_frames(lengths: list[int], stride: int, kind: str) -> None:
    pooling = FramePooling(0, stride, kind, 4)
    chance = torch.Generator().manual_seed(sum(lengths))
    states = torch.randn(len(lengths), max(lengths), 4, generator=chance)
    valid = valid_positions(torch.tensor(lengths), max(lengths))
    states[~valid] = torch.nan  # whatever stands there, it is never looked at
    pooled = pooling(states, None if valid.all() else valid)
    for row, original, length in zip(pooled, states, lengths, strict=True):
        expected = by_hand(original[:length], stride)
        assert pooling.num_frames(length) == len(expected)
        assert torch.allclose(row[: len(expected)], expected, atol=1e-6)
    assert torch.isfinite(pooled).all()


@pytest.mark.parametrize("at", [0, 1])
def test_above_the_cut_there_are_fewer_frames(encoder: Encoder, at: int) -> None:
    encoder.set_pooling(at, 3)
    with torch.no_grad():
        hidden, num_frames = encoder.frontend(*encoder.collate([noise(20_000), noise(9_000)]))
        whole = encoder.run(hidden, num_frames, 0, encoder.depth)
        for cut in range(encoder.depth + 1):
            below = encoder.run(hidden, num_frames, 0, cut)
            size = hidden.shape[1] if cut <= at else -(-hidden.shape[1] // 3)
            assert below.shape[1:] == (size, encoder.width_at(cut))
            assert encoder.frames_at(num_frames, cut).max() == size
            assert torch.equal(whole, encoder.run(below, num_frames, cut, encoder.depth))
    assert encoder.output_frames(num_frames).tolist() == [-(-count // 3) for count in num_frames.tolist()]
    assert encoder.output_frame_rate == encoder.frame_rate / 3 == pytest.approx(50 / 3)


@pytest.mark.parametrize("kind", ["mean", "learned"])
def test_neighbors_and_padding_change_nothing(encoder: Encoder, kind: str) -> None:
    encoder.set_pooling(1, 2, kind)
    waveforms = [noise(length, length) for length in (400, 5_000, 16_000, 24_001, 30_000, 161)]
    with torch.no_grad():
        together, num_frames = encoder(*encoder.collate(waveforms))
        for row, waveform, count in zip(together, waveforms, num_frames.tolist(), strict=True):
            alone, own_count = encoder(*encoder.collate([waveform]))
            assert own_count.item() == count
            assert torch.allclose(row[:count], alone[0, :count], atol=TOLERANCE)


def test_the_states_at_the_cut_are_those_without_pooling(encoder: Encoder) -> None:
    """So what is kept at a seam serves any pooling above it."""
    batch = encoder.collate([noise(20_000)])
    with torch.no_grad():
        plain = encoder.run(*encoder.frontend(*batch), 0, 1)
        encoder.set_pooling(1, 2)
        assert torch.equal(plain, encoder.run(*encoder.frontend(*batch), 0, 1))


def test_learned_pooling_begins_as_the_mean_and_is_trained_with_the_layer_above_it(encoder: Encoder) -> None:
    batch = encoder.collate([noise(20_000), noise(9_100)])
    encoder.set_pooling(1, 2, "mean")
    with torch.no_grad():
        mean, _ = encoder(*batch)
    encoder.set_pooling(1, 2, "learned")
    encoder.freeze([group for group in encoder.layer_groups() if group.seam <= 1])
    encoder.train()
    hidden, num_frames = encoder.frontend(*batch)
    learned = encoder.run(hidden, num_frames, 0, encoder.depth)
    assert torch.allclose(learned[0], mean[0], atol=TOLERANCE)
    learned.square().sum().backward()
    assert encoder.pooling is not None
    assert encoder.pooling.weight is not None
    assert encoder.pooling.weight.grad is not None
    names = [group.name for group in encoder.layer_groups()]
    assert names.index("pooling") == names.index("layer 0") + 1
    grouped = [id(parameter) for group in encoder.layer_groups() for parameter in group.parameters()]
    assert len(grouped) == len(set(grouped))
    assert id(encoder.pooling.weight) in grouped


def test_padded_to_30_s_all_frames_are_pooled(whisper_folder: Path) -> None:
    encoder = load_encoder("tiny", *find(str(whisper_folder)).read(), pad_to_30s=True).eval()
    encoder.set_pooling(0, 7)
    with torch.no_grad():
        hidden, num_frames = encoder(*encoder.collate([noise(20_000)]))
    assert (hidden.shape[1], num_frames.item()) == (215, 9)


def test_a_stride_of_one_takes_it_away(encoder: Encoder) -> None:
    description, state = encoder.describe(), encoder.state_dict().keys()
    encoder.set_pooling(0, 2, "learned")
    assert encoder.describe() != description
    encoder.set_pooling(0, 1)
    assert encoder.describe() == description
    assert encoder.state_dict().keys() == state


def test_a_model_without_the_key_is_one_without_pooling(encoder: Encoder) -> None:
    description = encoder.describe()
    assert description.pop("pooling") is None
    assert restore_encoder(description).pooling is None


@pytest.mark.parametrize(
    ("at", "kind", "message"), [(-1, "mean", "wanted 0 to"), (9, "mean", "wanted 0 to"), (0, "max", "mean, learned")]
)
def test_what_cannot_be_pooled_is_reported(encoder: Encoder, at: int, kind: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoder.set_pooling(at, 2, kind)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputing_gives_the_same_gradients(encoder: Encoder, dropout: float) -> None:
    encoder.set_dropout(dropout)
    encoder.set_pooling(1, 2, "learned")
    encoder.freeze([])
    encoder.train()
    batch = encoder.collate([noise(9_000), noise(4_000)])
    found = []
    for gradient_checkpointing in (False, True):
        encoder.gradient_checkpointing = gradient_checkpointing
        encoder.zero_grad()
        torch.manual_seed(1)
        encoder(*batch)[0].square().sum().backward()
        found.append({name: item.grad for name, item in encoder.named_parameters() if item.grad is not None})
    plain, again = found
    assert plain.keys() == again.keys() != set()
    assert all(torch.equal(plain[name], again[name]) for name in plain)
