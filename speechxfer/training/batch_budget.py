"""How much audio a device computes at once: found by trial, lowered where memory runs out.

All seconds here are costs (`speechxfer.data.batching.cost_s`): seconds of short audio, padding included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from speechxfer.data.batching import Lengths, batches, cost_s

#: Seconds where nothing was measured. A CPU is as fast with small batches, and any GPU holds this much.
_UNMEASURED_S = {"cpu": 120.0, "cuda": 60.0}
#: No GPU is faster with more than this.
_MOST_S = 1024.0
#: Fraction of the free memory that may be planned with: batches of one budget differ, and memory is fragmented.
_PLANNED = 0.8
#: Trials beside the first; each costs as much as a step.
_TRIALS = 4
#: A first look at how memory grows: this many times the longest utterance.
_STRIDE = 4.0
#: How lack of memory is reported: by CUDA, by a CPU's allocator, by cuBLAS and cuDNN.
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "_alloc_failed")


class Found(NamedTuple):
    """The result of a search for a budget."""

    seconds: float
    #: Whether the longest utterance can be computed at all.
    fits: bool


def find(peak_bytes: Callable[[float], float], free_bytes: float, longest_s: float) -> Found:
    """The budget whose peak stays within the planned fraction of the free memory, from five trials at most.

    It is a power of two, so that small differences in what is free do not lead to other batches, unless the longest
    utterance needs more; that one may have all there is.

    Args:
        peak_bytes: computes that many seconds and returns the bytes it took; may run out of memory.
        free_bytes: the free memory.
        longest_s: cost of the longest utterance.
    """
    planned = _PLANNED * free_bytes
    seconds, peak = longest_s, _tried(peak_bytes, longest_s)
    if peak > planned:
        return Found(longest_s, peak < math.inf)
    ceiling, wanted = _MOST_S, _STRIDE * longest_s
    for _ in range(_TRIALS):
        wanted = min(wanted, ceiling)
        # Nearer the limit than rounding to a power of two can tell.
        if wanted < 1.05 * seconds:
            break
        more = _tried(peak_bytes, wanted)
        if more > planned:
            ceiling = wanted
            # Memory grows at least in a straight line, so a point on it that fits in theory fits in truth.
            wanted = (seconds + wanted) / 2 if more == math.inf else _crossing(seconds, peak, wanted, more, planned)
        else:
            seconds, peak, wanted = wanted, more, _crossing(seconds, peak, wanted, more, planned)
    return Found(max(longest_s, 2.0 ** math.floor(math.log2(seconds))), True)


def _tried(peak_bytes: Callable[[float], float], seconds: float) -> float:
    """Bytes that a trial took; infinity where memory ran out."""
    try:
        return peak_bytes(seconds)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return math.inf


def _crossing(low_s: float, low: float, high_s: float, high: float, planned: float) -> float:
    """Where the straight line through two trials reaches the planned bytes, a little below it."""
    slope = (high - low) / (high_s - low_s)
    return low_s + 0.98 * (planned - low) / slope if slope > 0 else math.inf


class Budget:
    """Seconds of audio a device computes at once.

    Args:
        device: where.
        wanted_s: the budget that the user asked for; 0 finds it.
    """

    def __init__(self, device: torch.device, wanted_s: float = 0.0) -> None:
        self._device = device
        self._wanted_s = wanted_s
        self.seconds = wanted_s or _UNMEASURED_S.get(device.type, _UNMEASURED_S["cpu"])
        #: Utterances that do not fit even alone.
        self.skipped: set[int] = set()

    def measure(self, compute: Callable[[float], None], longest_s: float, *, spared_bytes: float = 0.0) -> bool:
        """On a GPU, unless the user named a budget, find it by trial; whether the longest utterance fits.

        Args:
            compute: forward and backward through any batch of that cost; frees its memory afterwards.
            longest_s: cost of the longest utterance.
            spared_bytes: memory needed for other things, for instance the optimizer's moments.
        """
        if self._wanted_s or self._device.type != "cuda":
            return True

        def peak_bytes(seconds: float) -> float:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            before = torch.cuda.memory_allocated(self._device)
            compute(seconds)
            return torch.cuda.max_memory_allocated(self._device) - before

        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self._device)
        found = find(peak_bytes, free - spared_bytes, longest_s)
        self.seconds = found.seconds
        return found.fits

    def split(self, indices: Sequence[int], lengths_s: Lengths) -> list[list[int]]:
        """Utterances in batches that fit."""
        kept = [index for index in indices if index not in self.skipped]
        return batches(kept, lengths_s, self.seconds)

    def back_off(self, batch: Sequence[int], lengths_s: Lengths) -> bool:
        """After memory ran out over a batch, plan with half of it; an utterance alone is skipped, and True returned.

        Halves what the batch cost, not the budget: batches made ahead of time may be of an earlier, larger one.
        """
        if len(batch) == 1:
            self.skipped |= set(batch)
            return True
        cost = len(batch) * cost_s(max(lengths_s[index] for index in batch))
        self.seconds = min(self.seconds, cost / 2)
        return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a GPU or a CPU."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY)
    )
