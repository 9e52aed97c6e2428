"""Augmentation. What is here acts on frames at the seam, after everything that is computed once."""

from __future__ import annotations

import torch
from torch import Tensor

from speechxfer.config import AugmentConfig


def mask_frames(hidden_states: Tensor, num_frames: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """SpecAugment (Park et al., 2019) on hidden states [batch, frames, width]: spans of frames and of
    channels are set to zero.

    A span of frames starts at any frame with probability `time_share / time_frames`, so about `time_share`
    of all frames vanish, however long the utterance; likewise for channels.
    """
    batch, size, width = hidden_states.shape
    time = _spans((batch, size), config.time_share, config.time_frames, generator)
    channels = _spans(
        (batch, width), config.channel_share, max(1, width * config.channel_span_percent // 100), generator
    )
    # An utterance must keep something to be recognised by.
    time &= time.sum(1, keepdim=True) < 0.6 * num_frames.cpu()[:, None]
    hidden = (time[:, :, None] | channels[:, None, :]).to(hidden_states.device)
    return hidden_states.masked_fill(hidden, 0.0)


def _spans(shape: tuple[int, int], share: float, span: int, generator: torch.Generator) -> Tensor:
    starts = torch.rand(shape, generator=generator) < share / span
    # A position is covered when a span began at most `span - 1` before it.
    begun = torch.nn.functional.pad(starts.cumsum(1), (span, 0))
    return begun[:, span:] > begun[:, :-span]
