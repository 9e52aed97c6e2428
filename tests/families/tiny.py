"""Tiny random models as `transformers` has them, one or more for each family; `test_contracts.py` tries all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Tiny:
    """A tiny model.

    Attributes:
        name: of the case.
        build: the reference model with random weights, in eval mode, without any dropout.
        save: writes its folder: configuration, weights, and the feature extractor's settings.
        states: the reference's last hidden states [frames, width] of each waveform, computed in one batch that is
            padded and masked as the library's own feature extractor does it.
        moves: by how much the reference's hidden states of a waveform change beside longer ones, relative to their mean
            magnitude, in eval mode and in train mode; to an order of magnitude.
        options: of our encoder.
    """

    name: str
    build: Callable[[], Any]
    save: Callable[[Any, Path], None]
    states: Callable[[Any, Sequence[np.ndarray]], list[Tensor]]
    moves: tuple[float, float]
    options: Mapping[str, Any] = field(default_factory=dict)


def visible(model: nn.Module) -> Any:
    """The model with weights at a scale where its small stack tells inputs apart, in eval mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape) * parameter.std(correction=0).clamp(min=0.1))
    return model.eval()


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    """Noise [samples] whose loudness changes, and which has an offset."""
    generator = np.random.default_rng(seed)
    loudness = 0.05 + 0.3 * np.sin(np.arange(num_samples) / 5000) ** 2
    return (0.02 + generator.standard_normal(num_samples) * loudness).astype(np.float32)
