"""Masks of one block of frames, somewhere in each utterance."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from speechxfer.config import AugmentConfig
from speechxfer.data.augment import FrameMask
from toy_speech import OneBlockConfig


def one_block(seeds: Sequence[Sequence[int]], num_frames: Tensor, width: int, config: AugmentConfig) -> FrameMask:
    """The masks of a batch; those of an utterance depend on its own seed only."""
    fraction = config.group_of(OneBlockConfig).size
    frames = torch.zeros(len(seeds), int(num_frames.max()), dtype=torch.bool)
    for row, seed, size in zip(frames, seeds, num_frames.tolist(), strict=True):
        length = int(fraction * size)
        start = np.random.default_rng(seed).integers(0, size - length + 1)
        row[start : start + length] = True
    return FrameMask(frames, torch.zeros(len(seeds), 0, dtype=torch.bool))
