"""Kept hidden states in the memory of a GPU, from which batches are gathered there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from speechxfer.training.inputs import CachedInputs, Key, Loaded

#: How much of a GPU's free memory they may take: activations, gradients and the optimizer need the most of it.
_MOST_OF_MEMORY = 0.25


class ResidentInputs(CachedInputs):
    """The same states as those of `cached`, held once more by a device.

    A batch is then no more than a table of frames, and neither assembled on the CPU nor copied.

    Args:
        cached: all states of one precision.
        device: has memory for them.
    """

    def __init__(self, cached: CachedInputs, device: torch.device) -> None:
        super().__init__(cached.copies, cached.seam, cached.kept, on_disk=cached.on_disk)
        rows = [states.hidden_states for states in self.kept.values()]
        sizes = list(map(len, rows))
        # The first frame is that of padding.
        starts = itertools.accumulate(sizes, initial=1)
        self._frames = {key: (start, size) for key, start, size in zip(self.kept, starts, sizes, strict=False)}
        self._flat = torch.zeros(1 + sum(sizes), rows[0].shape[1], dtype=rows[0].dtype, device=device)
        for (start, size), row in zip(self._frames.values(), rows, strict=True):
            self._flat[start : start + size] = row

    def load_copies(self, keys: Sequence[Key]) -> Loaded:
        """Where the frames of these copies are [batch, frames]."""
        frames = [self._frames[key] for key in keys]
        table = np.zeros((len(keys), max(size for _, size in frames)), dtype=np.int32)
        for row, (start, size) in zip(table, frames, strict=True):
            row[:size] = np.arange(start, start + size)
        num_frames = torch.tensor([self.kept[key].num_frames for key in keys], dtype=torch.int64)
        return Loaded(torch.from_numpy(table), num_frames, num_frames)

    def at_seam(self, loaded: Loaded) -> Tensor:
        """As they are, but in float32."""
        return self._flat[loaded.values].float()


def resident(cached: CachedInputs, device: torch.device) -> CachedInputs:
    """In the memory of the GPU if this is one and has room for them, else as they are."""
    rows = [states.hidden_states for states in cached.kept.values()]
    if device.type != "cuda" or len({row.dtype for row in rows}) > 1:
        return cached
    free, _ = torch.cuda.mem_get_info(device)
    size = sum(row.nbytes for row in rows)
    return ResidentInputs(cached, device) if size <= _MOST_OF_MEMORY * free else cached
