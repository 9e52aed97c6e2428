"""What is promised on CPUs, tried on a GPU: `python -m pytest -m gpu`; skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import speechxfer as sx
from speechxfer.device import choose_device, choose_precision
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.opening import open_checkpoint
from speechxfer.training.batch_budget import Budget
from tests.conftest import tone
from tests.families.test_contracts import MODELS, TOLERANCE, WAVEFORMS
from tests.families.tiny import Tiny
from tests.training.conftest import Runs, interrupted, texts

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("ignore"),  # kernels of a GPU warn of other things than a CPU's
]


@pytest.fixture(scope="module", params=MODELS, ids=lambda tiny: tiny.name)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    tiny: Tiny = request.param
    choose_device(DEVICE)
    folder = tmp_path_factory.mktemp(tiny.name)
    tiny.save(tiny.build(), folder)
    found = open_checkpoint(find(str(folder)), **tiny.options).encoder.eval()
    found.set_dropout(0.0)
    return found


@torch.no_grad()
def states(encoder: Encoder, waveforms: Sequence[np.ndarray], device: str, dtype: torch.dtype) -> list[Tensor]:
    """Hidden states at the top of each waveform, computed in one batch on a device, as float32 on the CPU."""
    encoder.to(device)
    inputs, num_samples = encoder.collate(waveforms)
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        found, num_frames = encoder(inputs.to(device), num_samples.to(device))
    assert torch.isfinite(found).all()
    return [row[:count].float().cpu() for row, count in zip(found, num_frames.tolist(), strict=True)]


def difference(found: Tensor, expected: Tensor) -> float:
    """Of all values, relative to their magnitude: half precision keeps three digits, and layers add its errors up."""
    assert found.shape == expected.shape
    return float((found - expected).norm() / expected.norm())


def test_hidden_states_are_those_of_a_cpu(encoder: Encoder) -> None:
    expected = states(encoder, WAVEFORMS, "cpu", torch.float32)
    for found, wanted in zip(states(encoder, WAVEFORMS, DEVICE, torch.float32), expected, strict=True):
        assert difference(found, wanted) < 10 * TOLERANCE


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, TOLERANCE), (torch.bfloat16, 0.1)], ids=["float32", "bfloat16"]
)
def test_neighbors_and_padding_change_nothing(encoder: Encoder, dtype: torch.dtype, tolerance: float) -> None:
    (alone,), together = (states(encoder, waveforms, DEVICE, dtype) for waveforms in (WAVEFORMS[:1], WAVEFORMS))
    assert difference(alone, together[0]) < tolerance


@pytest.fixture
def gpu_runs(corpus: Callable[..., Path], whisper_folder: Path, tmp_path: Path) -> Runs:
    splits = {name: str(corpus(name, texts(count, seed))) for name, count, seed in (("train", 24, 1), ("dev", 4, 2))}
    plan: dict[str, Any] = {"train_top": 1, "encoder_lr": 1e-2, "head_lr": 1e-2}
    training = {"epochs": 3, "batch_seconds": 4.0, "cache_dir": str(tmp_path / "cache")}
    base = {"model": str(whisper_folder), **splits, "device": DEVICE, "plan": plan, "training": training}
    return Runs(base, tmp_path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_was_interrupted_ends_with_the_same_losses(gpu_runs: Runs, precision: str) -> None:
    layer = {"training": {"precision": precision}}
    gpu_runs.run("whole", layer)
    interrupted(gpu_runs, "stopped", 3, layer)
    gpu_runs.run("stopped", layer, resume=True)
    assert gpu_runs.losses("stopped") == gpu_runs.losses("whole")


def test_losses_are_those_of_a_cpu(gpu_runs: Runs) -> None:
    layer: dict[str, Any] = {"training": {"precision": "float32", "dropout": 0.0}, "augment": {"mask_time_prob": 0.0}}
    gpu_runs.run("there", layer)
    gpu_runs.run("here", layer, {"device": "cpu"})
    # The first epoch: later ones amplify how the two round.
    assert gpu_runs.losses("there")[0] == pytest.approx(gpu_runs.losses("here")[0], rel=0.02)


def test_a_model_recognizes_the_same_alone_and_in_a_batch(gpu_runs: Runs, tmp_path: Path) -> None:
    learning = {"freeze_frontend": False, "train_top": 2, "head_only_ratio": 0.0}
    gpu_runs.run("trained", {"plan": learning, "training": {"epochs": 25, "batch_seconds": 2.0, "dropout": 0.0}})
    model = sx.load(str(tmp_path / "trained" / "model"), device=DEVICE, dtype="float32")
    waveforms = [tone(text) for text in ("abc a", "b a", "cab a", "aa a")]
    together = [found.text for found in model.transcribe_many(waveforms, sample_rate=16_000)]
    alone = [model.transcribe(waveform, sample_rate=16_000).text for waveform in waveforms]
    assert any(together)
    assert together == alone


def test_precision_is_bfloat16_by_default() -> None:
    assert choose_precision("auto", torch.device(DEVICE)) == torch.bfloat16


def test_the_budget_of_a_batch_is_found_in_real_memory() -> None:
    budget = Budget(torch.device(DEVICE))
    free, _ = torch.cuda.mem_get_info()
    bytes_a_second = free / 100

    def compute(seconds: float) -> None:
        torch.empty(round(seconds * bytes_a_second), dtype=torch.uint8, device=DEVICE)

    assert budget.measure(compute, 5.0)
    assert budget.seconds == 64.0  # the largest power of two within four fifths of the memory
    assert not budget.measure(compute, 200.0)
