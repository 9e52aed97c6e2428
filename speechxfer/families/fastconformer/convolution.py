"""The convolution module of a conformer layer, its convolutions over single frames as matrix products."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


class ConvolutionModule(nn.Module):
    """The convolution module of `transformers`' conformers, whose weights it has.

    What looks at single frames is one matrix product for all frames of a batch; as convolutions, a CPU computes it
    utterance by utterance, a third more slowly in training.
    """

    pointwise_conv1: nn.Conv1d
    depthwise_conv: nn.Conv1d
    norm: nn.BatchNorm1d
    activation: Callable[[Tensor], Tensor]
    pointwise_conv2: nn.Conv1d

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """[batch, frames, width] -> the same; the mask [batch, 1, 1, frames] is true where a frame is valid."""
        gated = F.glu(_of_frames(hidden_states, self.pointwise_conv1), dim=-1)
        if attention_mask is not None:
            gated = gated.masked_fill(~attention_mask[:, 0, 0, :, None], 0.0)
        filtered = self.activation(self.norm(self.depthwise_conv(gated.transpose(1, 2))))
        return _of_frames(filtered.transpose(1, 2), self.pointwise_conv2)


def _of_frames(hidden_states: Tensor, convolution: nn.Conv1d) -> Tensor:
    """A convolution with a kernel of one frame: [batch, frames, width] -> [batch, frames, channels]."""
    return F.linear(hidden_states, convolution.weight[..., 0], convolution.bias)
