"""Fewer frames from one layer of an encoder upwards: several become one."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.errors import ConfigError

_KINDS = ("mean", "learned")


class FramePooling(nn.Module):
    """Each `stride` frames become one.

    Args:
        at: the layer index whose states are still whole; the layers above it see the pooled ones.
        stride: frames that become one; the last group of an utterance may have fewer.
        kind: "mean", or "learned": a linear map of the frames together, which begins as their mean.
        width: size of a hidden state.

    Raises:
        ConfigError: there is no such kind.
    """

    def __init__(self, at: int, stride: int, kind: str, width: int) -> None:
        super().__init__()
        if kind not in _KINDS:
            raise ConfigError(f"pooling of kind {kind!r}: wanted one of {', '.join(_KINDS)}")
        self.at, self.stride, self.kind = at, stride, kind
        self.weight: nn.Parameter | None = None
        if kind == "learned":
            self.weight = nn.Parameter(torch.eye(width).repeat(1, stride) / stride)

    def num_frames(self, num_frames: Any) -> Any:
        """Frames above `at`; takes an int or an integer tensor."""
        return (num_frames + self.stride - 1) // self.stride

    def forward(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        """[batch, frames, width] and which frames are valid [batch, frames], None for all -> [batch, groups, width]."""
        if valid is None:
            valid = torch.ones(hidden_states.shape[:2], dtype=torch.bool, device=hidden_states.device)
        short = -hidden_states.shape[1] % self.stride
        valid = F.pad(valid, (0, short))
        groups = F.pad(hidden_states, (0, 0, 0, short)).masked_fill(~valid[:, :, None], 0.0)
        batch, size, width = groups.shape
        groups = groups.view(batch, size // self.stride, self.stride, width)
        counts = valid.view(batch, -1, self.stride).sum(2, keepdim=True).clamp(min=1)
        if self.weight is None:
            return groups.sum(2) / counts
        return F.linear(groups.flatten(2), self.weight) * (self.stride / counts)

    def describe(self) -> dict[str, Any]:
        """Plain JSON values for building it again."""
        return {"at": self.at, "stride": self.stride, "kind": self.kind}
