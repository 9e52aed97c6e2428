"""Augmentation: on frames at the seam, after everything that is computed once, or on the spectrogram below it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speechxfer.config import AugmentConfig


@dataclass(frozen=True)
class FrameMask:
    """What SpecAugment hides in a batch: frames [batch, frames] and channels [batch, width], true where hidden.

    No channel is hidden where `channels` has a width of 0.
    """

    frames: Tensor
    channels: Tensor

    def __call__(self, hidden_states: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """Hidden states [batch, frames, width] with the hidden positions set to `fill`."""
        device = hidden_states.device
        frames = self.frames.to(device, non_blocking=True)
        # Where an encoder computes beyond the utterance (silence up to 30 s), nothing is hidden.
        frames = torch.nn.functional.pad(frames, (0, hidden_states.shape[1] - frames.shape[1]))
        hidden = frames[:, :, None]
        if self.channels.shape[1]:
            hidden = hidden | self.channels.to(device, non_blocking=True)[:, None, :]
        return torch.where(hidden, fill, hidden_states)


def frame_mask(
    seeds: Sequence[Sequence[int]], num_frames: Tensor, width: int, config: AugmentConfig
) -> FrameMask | None:
    """SpecAugment (Park et al., 2019) on hidden states: spans of frames and of channels to be set to zero.

    A span of frames starts at any frame with probability `mask_time_prob / mask_time_length`, so about `mask_time_prob`
    of all frames vanish, however long the utterance; likewise for channels. Each utterance has its own chance,
    a function of its seed alone, so what is hidden does not depend on its neighbours.

    Args:
        seeds: non-negative integers for each utterance.
        num_frames: [batch], on the CPU.
        width: of a hidden state whose channels may be hidden; 0 hides none.
        config: how much to hide; None is returned where that is nothing.
    """
    if config.mask_time_prob == 0 and (config.mask_feature_prob == 0 or not width):
        return None
    span = max(1, width * config.mask_feature_length_percent // 100)
    frames = np.zeros((len(seeds), int(num_frames.max())), dtype=bool)
    channels = np.zeros((len(seeds), width), dtype=bool)
    for row, (seed, size) in enumerate(zip(seeds, num_frames.tolist(), strict=True)):
        chance = np.random.Generator(np.random.SFC64(seed))
        hidden = _spans(size, config.mask_time_prob, config.mask_time_length, chance)
        # An utterance must keep something to be recognised by.
        if hidden.sum() < 0.6 * size:
            frames[row, :size] = hidden
        channels[row] = _spans(width, config.mask_feature_prob, span, chance)
    return FrameMask(torch.from_numpy(frames), torch.from_numpy(channels))


@dataclass(frozen=True)
class Distortion:
    """What becomes of the spectrograms of a batch: first each one's frequencies are multiplied, then some is hidden."""

    #: Factor of each utterance's frequencies [batch]; None where all stay.
    warps: Tensor | None
    mask: FrameMask | None


def distortion(seeds: Sequence[Sequence[int]], num_steps: Tensor, bins: int, config: AugmentConfig) -> Distortion:
    """Vocal tract length perturbation (Jaitly and Hinton, 2013) and SpecAugment, each utterance by its own seed.

    Args:
        seeds: non-negative integers for each utterance.
        num_steps: of each spectrogram [batch], on the CPU.
        bins: mel bands of a step.
        config: how much to change.
    """
    warps = None
    if config.frequency_warp:
        # A number is added so that the factor does not tell what is hidden.
        chances = [np.random.Generator(np.random.SFC64([*seed, 1])) for seed in seeds]
        warps = torch.tensor(
            [1 + config.frequency_warp * chance.uniform(-1, 1) for chance in chances], dtype=torch.float32
        )
    return Distortion(warps, frame_mask(seeds, num_steps, bins, config))


def _spans(size: int, share: float, span: int, chance: np.random.Generator) -> np.ndarray:
    starts = chance.random(size) < share / span
    # A position is covered when a span began at most `span - 1` before it.
    begun = np.concatenate([np.zeros(span, dtype=int), starts.cumsum()])
    covered: np.ndarray = begun[span:] > begun[:-span]
    return covered
