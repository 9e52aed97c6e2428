"""The contract every encoder keeps: a stack that can be cut at any layer.

What is particular to a family stays in its module; code outside this room reads the attributes below and
never asks which family it has.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.audio import SAMPLE_RATE

# On a CPU oneDNN compiles kernels for every new length and keeps 1,024 of them, at about 10 MB each: memory would
# grow with every utterance. Few are needed again; fewer cost no time. Read by the library when it is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")


@dataclass(frozen=True)
class LayerGroup:
    """A named part of an encoder that is frozen or trained as one.

    `seam` is the lowest cut above the group: running from a cut at or above it never touches the group.
    """

    name: str
    seam: int
    modules: tuple[nn.Module, ...]

    def parameters(self) -> list[nn.Parameter]:
        """The group's parameters, those that its family never trains left out."""
        return [parameter for module in self.modules for parameter in module.parameters()]


class Encoder(nn.Module, ABC):
    """Waveforms to hidden states, in steps that can be run apart.

    `frontend` turns waveforms into the hidden states at cut 0; `run(hidden_states, num_frames, start, stop)`
    takes the hidden states at cut `start` to cut `stop`, so that running 0 to k and then k to `depth` is
    running 0 to `depth`. Hidden states are [batch, frames, width]; lengths are absolute integer counts
    [batch]. What stands in padded positions is undefined and never influences a valid one.
    """

    sample_rate: int = SAMPLE_RATE
    family: str
    #: Size of a hidden state.
    width: int
    #: Number of layers, and so the last cut.
    depth: int
    #: Hidden states a second.
    frame_rate: float
    #: Longest waveform it can take, in seconds; None where there is no limit.
    max_duration_s: float | None
    #: Whether hidden states have one size for every utterance, all of it attended to.
    fixed_length: bool = False
    #: Names of the projections LoRA attaches to.
    lora_targets: tuple[str, ...]
    _frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def num_frames(self, num_samples: Any) -> Any:
        """Frames for waveforms of `num_samples` samples; exact. Takes an int or an integer tensor."""

    @abstractmethod
    def frontend(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms [batch, samples], lengths [batch] -> hidden states at cut 0, number of frames [batch]."""

    @abstractmethod
    def run(self, hidden_states: Tensor, num_frames: Tensor, start: int, stop: int) -> Tensor:
        """Hidden states at cut `start` -> hidden states at cut `stop`."""

    @abstractmethod
    def layer_groups(self) -> list[LayerGroup]:
        """All parts from the bottom up; every trainable parameter belongs to exactly one."""

    @abstractmethod
    def set_dropout(self, probability: float) -> None:
        """Share of activations set to zero in layers that are trained."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What `restore_encoder` needs to build the same encoder again: plain JSON values."""

    def computed_s(self, duration_s: float) -> float:
        """Seconds of audio that are computed for a waveform on its own."""
        return duration_s

    def collate(self, waveforms: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Waveforms of any lengths -> zero-padded [batch, samples] and their lengths [batch]."""
        num_samples = torch.tensor([len(waveform) for waveform in waveforms], dtype=torch.int64)
        batch = torch.zeros(len(waveforms), int(num_samples.max()), dtype=torch.float32)
        for row, waveform in zip(batch, waveforms, strict=True):
            row[: len(waveform)] = torch.from_numpy(waveform)
        return batch, num_samples

    def freeze(self, groups: Iterable[LayerGroup]) -> None:
        """Fix these parts and free all others: no gradient, and eval mode even after `train()`."""
        for group in self.layer_groups():
            for parameter in group.parameters():
                parameter.requires_grad_(True)
        self._frozen = tuple(module for group in groups for module in group.modules)
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As everywhere, but frozen parts stay in eval mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """The whole stack: waveforms -> hidden states at cut `depth`, number of frames."""
        hidden_states, num_frames = self.frontend(waveforms, num_samples)
        return self.run(hidden_states, num_frames, 0, self.depth), num_frames


def valid_positions(lengths: Tensor, size: int) -> Tensor:
    """Boolean mask [batch, size], true where a position lies within its row's length."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]
