"""What a head reads of a stack of all layers' hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LayerSum(nn.Module):
    """A sum of hidden states whose weights are learned and add up to 1 (Peters et al., 2018, ELMo; Yang et al., 2021).

    Args:
        count: how many states stand side by side; all weigh the same at first.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((count,), 1.0 / count))

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[batch, frames, count * width] -> [batch, frames, width]."""
        states = hidden_states.view(*hidden_states.shape[:2], len(self.weights), -1)
        return torch.einsum("bfcw,c->bfw", states, self.weights.softmax(dim=0).to(states.dtype))
