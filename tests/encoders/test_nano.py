"""The small wav2vec2 that ships with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel

import speechxfer
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from tests.conftest import tone
from tests.encoders.conftest import noise

FOLDER = Path(speechxfer.__file__).parent / "pretrained" / "wav2vec2-nano"


@pytest.fixture(scope="module")
def nano() -> Encoder:
    return load_encoder("wav2vec2-nano", *find(str(FOLDER)).read()).eval()


def test_it_is_small_and_in_half_precision() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size <= 16_000_000
    assert {value.dtype for value in load_file(FOLDER / "model.safetensors").values()} == {torch.float16}


def test_its_folder_holds_what_transformers_opens_and_no_pickle() -> None:
    wanted = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert {path.name for path in FOLDER.iterdir()} == wanted


def test_it_comes_out_of_transformers_the_same(nano: Encoder) -> None:
    waveform = noise(20_000)
    original = AutoModel.from_pretrained(FOLDER).eval()
    inputs = AutoFeatureExtractor.from_pretrained(FOLDER)(waveform, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        theirs = original(**inputs).last_hidden_state[0]
        ours = nano(*nano.collate([waveform]))[0][0]
    assert original.dtype == torch.float32
    assert (ours - theirs).abs().max() <= 1e-4


def test_neighbors_and_padding_change_nothing(nano: Encoder) -> None:
    waveforms = [tone("abcab"), noise(30_000, seed=1), noise(5_000, seed=2)]
    with torch.inference_mode():
        together, counts = nano(*nano.collate(waveforms))
        for row, count, waveform in zip(together, counts.tolist(), waveforms, strict=True):
            alone = nano(*nano.collate([waveform]))[0][0]
            assert count == len(alone)
            assert (row[:count] - alone).abs().max() <= 1e-4


def test_it_hears_what_is_said_more_than_how_loud(nano: Encoder) -> None:
    with torch.inference_mode():
        said, quieter, other = (nano(*nano.collate([wave]))[0][0].mean(0) for wave in (tone("aab"), tone("aab") * 0.1, tone("ccb")))  # fmt: skip  # noqa: E501
    assert torch.dist(said, quieter) < 0.1 * torch.dist(said, other)


@pytest.mark.parametrize("num_samples", [1, 1039, 1040, 16_000])
def test_frames_are_counted_as_they_come(nano: Encoder, num_samples: int) -> None:
    with torch.inference_mode():
        hidden, counts = nano(*nano.collate([np.zeros(num_samples, dtype=np.float32)]))
    assert hidden.isfinite().all()
    assert int(counts) == nano.num_frames(num_samples) == max(0, (num_samples - 1040) // 320 + 1)
