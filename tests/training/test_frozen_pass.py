"""States of a whole pass are those of the encoder under autocast, whoever holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from speechxfer.data.manifest import Manifest
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.opening import open_checkpoint
from speechxfer.training.frozen_pass import FrozenPass
from speechxfer.training.inputs import CachedInputs, Copies, Key, LiveInputs
from speechxfer.training.resident import ResidentInputs
from tests.families.test_contracts import MODELS
from tests.families.tiny import Tiny


@pytest.fixture(params=MODELS, ids=lambda tiny: tiny.name)
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    tiny: Tiny = request.param
    tiny.save(tiny.build(), tmp_path / "model")
    return open_checkpoint(find(str(tmp_path / "model")), **tiny.options).encoder


@pytest.fixture
def manifest(corpus: Callable[..., Path]) -> Manifest:
    return Manifest.read(corpus("train", ["a", "bc", "abc"]))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_states_are_those_of_the_encoder(encoder: Encoder, manifest: Manifest, precision: torch.dtype) -> None:
    seam = encoder.depth - 1
    inputs = LiveInputs(encoder, seam, Copies(manifest, encoder, 0, seed=1))
    keys: list[Key] = [(0, 1.0), (2, 1.0)]
    frozen = FrozenPass(inputs, encoder, seam, precision=precision, cache_dtype="float32")
    ((_, found),) = frozen([keys])
    loaded = inputs.load_copies(keys)
    encoder.eval()
    with torch.no_grad(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
        expected = inputs.at_seam(loaded).float()
    assert [key for key, _ in found] == keys
    for row, (_, states) in zip(expected, found, strict=True):
        assert torch.equal(states.hidden_states, row[: len(states.hidden_states)])
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_states_held_by_a_device_make_the_same_batches(whisper_folder: Path, manifest: Manifest) -> None:
    encoder = open_checkpoint(find(str(whisper_folder))).encoder
    copies = Copies(manifest, encoder, 1, seed=1)
    frozen = FrozenPass(LiveInputs(encoder, 1, copies), encoder, 1, precision=torch.float32, cache_dtype="half")
    kept = {key: states for _, found in frozen([copies.keys]) for key, states in found}
    cached = CachedInputs(copies, 1, kept, on_disk=False)
    held = ResidentInputs(cached, torch.device("cpu"))
    for epoch in range(3):
        some, others = held.load([2, 0], epoch), cached.load([2, 0], epoch)
        assert torch.equal(some.num_frames, others.num_frames)
        assert torch.equal(held.at_seam(some), cached.at_seam(others))
