"""A model that knows the language of tones without training: each letter is a tone, and a space is silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from speechxfer.data.augment import Distortion
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders.base import Encoder, LayerGroup
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from tests.conftest import TONES_HZ

_HOP = 320


class ToneEncoder(Encoder):
    """The energies of the three tones every 20 ms."""

    family = "tones"
    frame_rate = 50.0
    max_duration_s = None
    width, depth = 3, 0

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        return cls()

    def load_source(self, state: Mapping[str, Tensor]) -> None: ...

    def num_frames(self, num_samples: Any) -> Any:
        return num_samples // _HOP

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        frames = waveforms[:, : waveforms.shape[1] // _HOP * _HOP].unflatten(1, (-1, _HOP))
        angles = 2 * np.pi * torch.outer(torch.arange(_HOP) / 16_000, torch.tensor(list(TONES_HZ.values())))
        waves = torch.exp(1j * angles)
        return (frames.to(waves.dtype) @ waves).abs() / _HOP, self.num_frames(num_samples)

    @property
    def _layers(self) -> Any:
        return torch.nn.ModuleList()

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        return hidden_states

    def _layer_groups(self) -> list[LayerGroup]:
        return []

    def _describe(self) -> dict[str, Any]:
        return {}

    def set_dropout(self, probability: float) -> None: ...


@pytest.fixture(scope="session")
def model() -> SpeechModel:
    head = CTCHead(3, 50.0, Characters([" ", "a", "b", "c"]), TextNormalizer("basic"))
    with torch.no_grad():
        head.projection.weight.zero_()
        head.projection.weight[2:] = 400.0 * torch.eye(3)
        head.projection.bias[:] = torch.tensor([12.0, 10.0, 0.0, 0.0, 0.0])
    model = SpeechModel(ToneEncoder(), head, "tones").eval()
    model.register_parameter("anchor", torch.nn.Parameter(torch.zeros(1)))
    return model


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Path]:
    def write(samples: np.ndarray, name: str = "a.wav") -> Path:
        path = tmp_path / name
        soundfile.write(path, samples, 16_000)
        return path

    return write
