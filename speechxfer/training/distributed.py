"""Several processes training one model; no other module knows how they communicate.

Started by `torchrun` or `accelerate launch`, which set the environment read here. Each process computes its share of
every step, and gradients are summed before the step is taken.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from speechxfer.errors import ConfigError

_T = TypeVar("_T")
#: Processes are started together, so they meet soon or never.
_ARRIVAL = timedelta(minutes=10)
#: One process may evaluate or write while the others wait for it.
_PATIENCE = timedelta(hours=2)
#: Numbers them, so that a second run in the same processes does not meet the traces of the first.
_meetings = itertools.count()
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """How many processes there are, and which one this is; alone, every operation changes nothing."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str = "auto") -> World:
        """Join the other processes, if the environment names any.

        Raises:
            ConfigError: the environment is incomplete, or the others do not come.
        """
        if not {"RANK", "WORLD_SIZE"} & os.environ.keys() or os.environ.get("WORLD_SIZE") == "1":
            return cls()
        if missing := [name for name in _NEEDED if name not in os.environ]:
            found = "RANK" if "RANK" in os.environ else "WORLD_SIZE"
            raise ConfigError(
                f"{found} is set but {', '.join(missing)} is not; start with torchrun or accelerate launch, or unset "
                f"{found} to train in one process"
            )
        rank, size = _number("RANK"), _number("WORLD_SIZE")
        if rank >= size:
            raise ConfigError(f"RANK is {rank}; wanted less than WORLD_SIZE, which is {size}")
        if not torch.distributed.is_initialized():
            _meet(rank, size, device)
        return cls(rank, size)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the run's files and prints."""
        return self.rank == 0

    def sum_gradients(self, parameters: Iterable[nn.Parameter], figures: Tensor) -> Tensor:
        """Add up the gradients and the figures of a step of all processes, in one message; returns the figures.

        A parameter without a gradient in this process counts as zero.

        Args:
            parameters: the same in all processes.
            figures: the loss, and whatever else is summed; of any shape.
        """
        if self.size == 1:
            return figures
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), figures.detach().reshape(-1).float()])
        torch.distributed.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return flat[start:].clone().view_as(figures)  # not a view, which would keep all of `flat` in memory

    def gather(self, items: dict[int, _T]) -> dict[int, _T]:
        """The items of all processes together."""
        if self.size == 1:
            return items
        parts: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(parts, items)
        return {key: value for part in parts for key, value in part.items()}

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        on_gpu = torch.distributed.get_backend() == "nccl"
        found = torch.tensor(float(flag), device=torch.cuda.current_device() if on_gpu else "cpu")
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found.item())

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            torch.distributed.barrier()

    def leave(self) -> None:
        """Leave the group of processes."""
        if self.size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _meet(rank: int, size: int, device: str) -> None:
    """Start the process group, on this process's GPU or its share of the cores."""
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        _take_gpu(device)
    elif (threads := _threads()) is not None:
        torch.set_num_threads(threads)
    try:
        store, _, _ = next(rendezvous("env://", rank, size, timeout=_ARRIVAL))
        torch.distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=PrefixStore(f"meeting {next(_meetings)}", store),
            rank=rank,
            world_size=size,
            timeout=_PATIENCE,
            device_id=torch.device("cuda", torch.cuda.current_device()) if on_gpu else None,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]  # what follows is C++
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise ConfigError(
            f"process {rank} of {size} cannot reach the others at {address} ({reason}); start all of them with "
            "torchrun or accelerate launch"
        ) from error


def _take_gpu(device: str) -> None:
    here, count = _number("LOCAL_RANK", "0"), torch.cuda.device_count()
    if ":" in device:
        raise ConfigError(f"device is {device!r}, but each of several processes has its own; wanted --device cuda")
    if here >= count:
        raise ConfigError(f"there are more processes than the {count} GPUs of this machine; start one for each GPU")
    torch.cuda.set_device(here)


def _threads() -> int | None:
    """Cores a process: all busy, none shared. None where the user has decided.

    Launchers set one thread for each process, whatever cores there are, so that one is taken for nobody's decision.
    """
    if os.environ.get("OMP_NUM_THREADS", "1") != "1":
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // _number("LOCAL_WORLD_SIZE", "1"))


def _number(name: str, default: str | None = None) -> int:
    value = os.environ.get(name, default)
    if value is None or not value.isdecimal():
        raise ConfigError(f"{name} is {value!r}; wanted a whole number, as torchrun and accelerate launch set it")
    return int(value)
