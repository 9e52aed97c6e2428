"""Several processes training one model; everything else is blind to them.

Started by `torchrun` or `accelerate launch`, which set the environment read here. Each process computes its share of
every step, and gradients are summed before the step is taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

from speechxfer.errors import ConfigError

_T = TypeVar("_T")
#: One process may evaluate or write while the others wait for it.
_PATIENCE = timedelta(hours=2)
_NEEDED = ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """How many processes there are, and which one this is; alone, every operation changes nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str = "auto") -> World:
        """Meet the other processes, if the environment names any.

        Raises:
            ConfigError: the environment is incomplete, or the others do not come.
        """
        if "RANK" not in os.environ or os.environ.get("WORLD_SIZE") == "1":
            return cls()
        if missing := [name for name in _NEEDED if name not in os.environ]:
            raise ConfigError(f"RANK is set but {', '.join(missing)} is not; start with torchrun or accelerate launch")
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        if not torch.distributed.is_initialized():
            on_gpu = device != "cpu" and torch.cuda.is_available()
            if on_gpu:
                torch.cuda.set_device(local_rank())
            else:
                torch.set_num_threads(_threads())
            try:
                torch.distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
            except (RuntimeError, ValueError) as error:
                raise ConfigError(f"process {rank} of {size} cannot reach the others: {error}") from error
        return cls(rank, size)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files and speaks."""
        return self.rank == 0

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Add up the gradients and the loss (a scalar) of all processes, in one message; returns the loss.

        A parameter that met no utterance in this process counts as zero.
        """
        if self.size == 1:
            return loss
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), loss.detach().reshape(1).float()])
        torch.distributed.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return flat[-1]

    def gather(self, items: dict[int, _T]) -> dict[int, _T]:
        """The items of all processes together."""
        if self.size == 1:
            return items
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, items)
        return {key: value for part in parts for key, value in part.items()}

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()

    def leave(self) -> None:
        """Take leave of the others."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def local_rank() -> int:
    """Which of the processes of this machine this is."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def _threads() -> int:
    """Cores a process: all busy, none shared. (Launchers set one thread each, whatever there is.)"""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
