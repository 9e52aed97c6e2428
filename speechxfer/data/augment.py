"""SpecAugment on hidden states at the seam or on the log-mel spectrogram, and vocal tract length perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speechxfer.config import AugmentConfig
from speechxfer.config.maskings import MASKINGS

#: What SplitMix64 adds to its state for each number: 2**64 divided by the golden ratio.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


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
    sizes = num_frames.numpy()[:, None]
    frames = _spans(_random(seeds, int(sizes.max()), stream=0), config.mask_time_prob, config.mask_time_length)
    frames &= np.arange(frames.shape[1]) < sizes
    # An utterance must stay recognizable.
    frames &= frames.sum(1, keepdims=True) < 0.6 * sizes
    span = max(1, width * config.mask_feature_length_percent // 100)
    features = _spans(_random(seeds, width, stream=1), config.mask_feature_prob, span)
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
        chance = _random(seeds, 1, stream=2)[:, 0]
        warps = torch.from_numpy(1 + config.frequency_warp * (2 * chance - 1)).float()
    return Distortion(warps, frame_mask(seeds, num_steps, bins, config))


def _spans(chance: np.ndarray, fraction: float, span: int) -> np.ndarray:
    """Numbers from 0 to 1 [batch, size] -> true where a span covers a position [batch, size]."""
    # A position is masked if a span starts at most `span - 1` positions before it.
    started = np.pad((chance < fraction / span).cumsum(1), ((0, 0), (span, 0)))
    masked: np.ndarray = started[:, span:] > started[:, :-span]
    return masked


def _random(seeds: Sequence[Sequence[int]], size: int, *, stream: int) -> np.ndarray:
    """Random numbers from 0 to 1 [batch, size], of which each depends on its row's seed, its column and the stream.

    The numbers of a whole batch at once: a generator for each row costs more than a step of a small head does.
    By SplitMix64 (Steele, Lea and Flood, 2014), whose state is a counter.
    """
    state = np.full((len(seeds), 1), stream, dtype=np.uint64)
    for part in np.array(seeds, dtype=np.uint64).T:
        state = _mixed(state + _GOLDEN) ^ part[:, None]
    numbers = _mixed(_mixed(state) + _GOLDEN * np.arange(1, size + 1, dtype=np.uint64))
    found: np.ndarray = (numbers >> np.uint64(11)) * 2.0**-53
    return found


def _mixed(values: np.ndarray) -> np.ndarray:
    """Each number with all of its bits mixed."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
