"""Attention to relative positions (Dai et al., 2019, Transformer-XL) by the fused kernel."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BASE = 10_000.0


def relative_positions(hidden_states: Tensor, step: int) -> Tensor:
    """[1, 2 frames - 1, width] for hidden states [batch, frames, width]: distances from frames - 1 to 1 - frames.

    A function of the length, so that there is no longest one. Neighbors are `step` original frames apart.
    """
    size, width = hidden_states.shape[1:]
    distances = torch.arange(size - 1, -size, -1, device=hidden_states.device, dtype=torch.float32) * step
    powers = torch.arange(0, width, 2, device=hidden_states.device, dtype=torch.float32) / width
    angles = distances[:, None] * (1.0 / _BASE**powers)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None].to(hidden_states.dtype)


class RelativeAttention(nn.Module):
    """The attention of `transformers`' FastConformers, whose weights it has, but without dropout.

    What positions are multiplied with is computed once for a batch and not for every utterance.
    """

    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    o_proj: nn.Linear
    relative_k_proj: nn.Linear
    bias_u: nn.Parameter
    bias_v: nn.Parameter
    head_dim: int
    scaling: float

    def forward(
        self, hidden_states: Tensor, position_embeddings: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> tuple[Tensor, None]:
        """[batch, frames, width] -> the same, with `relative_positions` and a mask that is true where to attend."""
        split = (*hidden_states.shape[:2], -1, self.head_dim)
        query, key, value = (
            projection(hidden_states).view(split).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        positions = self.relative_k_proj(position_embeddings[0]).view(-1, query.shape[1], self.head_dim).transpose(0, 1)
        by_distance = (query + self.bias_v[:, None].to(query.dtype)) * self.scaling @ positions.transpose(1, 2)
        bias = _by_key(by_distance)
        if attention_mask is not None:
            bias = bias.masked_fill(~attention_mask, -torch.inf)
        content = query + self.bias_u[:, None].to(query.dtype)
        attended = F.scaled_dot_product_attention(content, key, value, attn_mask=bias.to(query.dtype), scale=self.scaling)  # fmt: skip  # noqa: E501
        return self.o_proj(attended.transpose(1, 2).flatten(2)), None


def _by_key(by_distance: Tensor) -> Tensor:
    """[..., queries, 2 queries - 1], from the farthest key before to the farthest after -> [..., queries, keys]."""
    size = by_distance.shape[-2]
    if size == 1:
        return by_distance
    if torch.compiler.is_exporting():  # in a graph, the exporter could not follow the sizes of what is below
        places = torch.arange(size, device=by_distance.device)
        ahead = places[None, :] - places[:, None] + size - 1
        return by_distance.gather(-1, ahead.expand(*by_distance.shape[:2], -1, -1))
    # Query i attends from i keys before to size - 1 - i after. So the square begins one column further left in each
    # row: in rows of one column less, it begins in the same one.
    rows = by_distance.flatten(-2)[..., size - 1 : -1]
    return rows.view(*rows.shape[:-1], size, -1)[..., :size]
