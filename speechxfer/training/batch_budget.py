"""How much audio a device computes at once: learned from what it needs, lowered where that was too much."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from speechxfer.data.batching import Lengths, batches, cost_s

#: Seconds to begin with. A CPU is as fast with small batches; a GPU learns its limit from the first ones.
_BEGIN_S = {"cpu": 120.0, "cuda": 60.0}
#: No GPU is faster with more than this.
_MOST_S = 1200.0
#: Share of a GPU's memory that may be planned with; batches of one budget differ, and memory is fragmented.
_PLANNED = 0.8


class Budget:
    """Seconds of audio a device computes at once.

    Args:
        device: where.
        wanted_s: what the user asked for; 0 finds it.
    """

    def __init__(self, device: torch.device, wanted_s: float = 0.0) -> None:
        self._device = device
        self._wanted_s = wanted_s
        self._learning = wanted_s == 0 and device.type == "cuda"
        self.seconds = wanted_s or _BEGIN_S.get(device.type, _BEGIN_S["cpu"])
        #: Utterances that do not fit even alone.
        self.aside: set[int] = set()

    def set_aside(self, lengths_s: Sequence[float]) -> list[int]:
        """Put aside what exceeds a budget the user asked for, and say which these are."""
        found = [
            index
            for index, length in enumerate(lengths_s)
            if self._wanted_s and cost_s(length) > self._wanted_s and index not in self.aside
        ]
        self.aside |= set(found)
        return found

    def cut(self, indices: Sequence[int], lengths_s: Lengths) -> list[list[int]]:
        """Utterances in batches that fit."""
        return batches([index for index in indices if index not in self.aside], lengths_s, self.seconds)

    def back_off(self, batch: Sequence[int]) -> bool:
        """After memory ran out: plan with half as much, or put aside what was alone; whether it was."""
        self._learning = False
        if len(batch) == 1:
            self.aside |= set(batch)
            return True
        self.seconds /= 2
        return False

    def learn(self, batch: Sequence[int], lengths_s: Lengths) -> None:
        """After the first step on a GPU: plan with as much as its memory holds."""
        if not self._learning:
            return
        self._learning = False
        cost = len(batch) * cost_s(max(lengths_s[index] for index in batch))
        peak = torch.cuda.max_memory_allocated(self._device)
        total = torch.cuda.get_device_properties(self._device).total_memory
        self.seconds = budget_s(cost, peak, total)


def budget_s(cost: float, peak_bytes: float, total_bytes: float) -> float:
    """The budget for a device, when a batch of some cost in seconds was seen to need so many bytes of it."""
    return min(_MOST_S, max(cost * _PLANNED * total_bytes / peak_bytes, cost))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, on a GPU or a CPU."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )
