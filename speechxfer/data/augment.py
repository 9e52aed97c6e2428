"""SpecAugment on hidden states at the seam or on the log-mel spectrogram, and vocal tract length perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speechxfer.config import AugmentConfig
from speechxfer.config.maskings import MASKINGS


@dataclass(frozen=True)
class FrameMask:
    """SpecAugment masks of a batch: frames [batch, frames] and features [batch, width], true where masked.

    `features` may have a width of 0 for no mask.
    """

    frames: Tensor
    features: Tensor

    def __call__(self, hidden_states: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """Hidden states [batch, frames, width] with masked positions set to `fill`."""
        device = hidden_states.device
        frames = self.frames.to(device, non_blocking=True)
        # Padding beyond the utterance (silence up to 30 s) is not masked.
        frames = torch.nn.functional.pad(frames, (0, hidden_states.shape[1] - frames.shape[1]))
        masked = frames[:, :, None]
        if self.features.shape[1]:
            masked = masked | self.features.to(device, non_blocking=True)[:, None, :]
        return torch.where(masked, fill, hidden_states)


def frame_mask(
    seeds: Sequence[Sequence[int]], num_frames: Tensor, width: int, config: AugmentConfig
) -> FrameMask | None:
    """Masks of a batch, as the masking draws them that the settings name; arguments and result are those of `spans`."""
    mask: FrameMask | None = MASKINGS[config.masking].load()(seeds, num_frames, width, config)
    return mask


def spans(seeds: Sequence[Sequence[int]], num_frames: Tensor, width: int, config: AugmentConfig) -> FrameMask | None:
    """SpecAugment (Park et al., 2019) masks: spans of frames and of features.

    A span starts at any frame with probability `mask_time_prob / mask_time_length`, so that about `mask_time_prob` of
    all frames are masked, whatever the length of the utterance; likewise for features. The masks of an utterance depend
    on its own seed only, not on the batch.

    Args:
        seeds: non-negative integers for each utterance.
        num_frames: [batch], on the CPU.
        width: number of features to mask; 0 for no feature mask.
        config: how much to mask; `config.group_of` has the settings of a masking of another package.

    Returns:
        None if nothing is masked.
    """
    width = width if config.mask_feature_prob else 0
    if config.mask_time_prob == 0 and not width:
        return None
    span = max(1, width * config.mask_feature_length_percent // 100)
    frames = np.zeros((len(seeds), int(num_frames.max())), dtype=bool)
    features = np.zeros((len(seeds), width), dtype=bool)
    for row, (seed, size) in enumerate(zip(seeds, num_frames.tolist(), strict=True)):
        generator = np.random.Generator(np.random.SFC64(seed))
        masked = _spans(size, config.mask_time_prob, config.mask_time_length, generator)
        # An utterance must stay recognizable.
        if masked.sum() < 0.6 * size:
            frames[row, :size] = masked
        if width:
            features[row] = _spans(width, config.mask_feature_prob, span, generator)
    return FrameMask(torch.from_numpy(frames), torch.from_numpy(features))


@dataclass(frozen=True)
class Distortion:
    """Augmentation of the spectrograms of a batch: frequencies are scaled, then masked."""

    #: Factor of each utterance's frequencies [batch]; None for no warping.
    warps: Tensor | None
    mask: FrameMask | None


def distortion(seeds: Sequence[Sequence[int]], num_steps: Tensor, bins: int, config: AugmentConfig) -> Distortion:
    """Vocal tract length perturbation (Jaitly and Hinton, 2013) and SpecAugment, each utterance by its own seed.

    Args:
        seeds: non-negative integers for each utterance.
        num_steps: frames of each spectrogram [batch], on the CPU.
        bins: mel bands.
        config: how much to augment.
    """
    warps = None
    if config.frequency_warp:
        # Another seed than that of the masks, so that the two are independent.
        generators = [np.random.Generator(np.random.SFC64([*seed, 1])) for seed in seeds]
        warps = torch.tensor(
            [1 + config.frequency_warp * generator.uniform(-1, 1) for generator in generators], dtype=torch.float32
        )
    return Distortion(warps, frame_mask(seeds, num_steps, bins, config))


def _spans(size: int, fraction: float, span: int, generator: np.random.Generator) -> np.ndarray:
    starts = generator.random(size) < fraction / span
    # A position is masked if a span starts at most `span - 1` positions before it.
    started = np.concatenate([np.zeros(span, dtype=int), starts.cumsum()])
    masked: np.ndarray = started[span:] > started[:-span]
    return masked
