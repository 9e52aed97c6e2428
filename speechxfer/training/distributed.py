"""Several processes training one model, on one host or on several; no other module knows how they communicate.

Started by `torchrun` or `accelerate launch`, which set the environment read here. Each process computes its share of
every step, and gradients are summed before the step is taken.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor

from speechxfer.ahead import available_cores
from speechxfer.errors import ConfigError, StorageError, TrainingError
from speechxfer.storage import writing
from speechxfer.training.heartbeat import Heartbeat
from speechxfer.training.interfaces import interface_towards

_T = TypeVar("_T")
#: Processes are started together, so they meet soon or never.
_ARRIVAL = timedelta(minutes=10)
#: One process may evaluate or write while the others wait for it.
_PATIENCE = timedelta(hours=2)
#: Numbers them, so that a second run in the same processes does not meet the traces of the first.
_meetings = itertools.count()
#: That of this process, while it is in a group.
_heartbeats: list[Heartbeat] = []
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

        A parameter without a gradient in this process counts as zero. One that is divided over the processes has been
        summed on the way.

        Args:
            parameters: the same in all processes.
            figures: the loss, and whatever else is summed; of any shape.
        """
        if self.size == 1:
            return figures
        parameters = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]  # summed already
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), figures.detach().reshape(-1).float()])
        with _connected():
            torch.distributed.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return flat[start:].clone().view_as(figures)  # not a view, which would keep all of `flat` in memory

    def sum(self, figure: Tensor) -> Tensor:
        """The sum of a figure over all processes, in place."""
        if self.size > 1:
            with _connected():
                torch.distributed.all_reduce(figure)
        return figure

    def gather(self, items: dict[int, _T]) -> dict[int, _T]:
        """The items of all processes together."""
        if self.size == 1:
            return items
        parts: list[Any] = [None] * self.size
        with _connected():
            torch.distributed.all_gather_object(parts, items)
        return {key: value for part in parts for key, value in part.items()}

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        on_gpu = torch.distributed.get_backend() == "nccl"
        found = torch.tensor(float(flag), device=torch.cuda.current_device() if on_gpu else "cpu")
        with _connected():
            torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found.item())

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            with _connected():
                torch.distributed.barrier()

    @property
    def name(self) -> str:
        """This process in messages."""
        return f"process {self.rank} on {socket.gethostname()}"

    def seeing(self, folder: Path, writer: int = 0) -> dict[int, bool]:
        """Which processes see what process `writer` writes to a folder, by rank: those that share its disk.

        Raises:
            StorageError: it cannot write there.
        """
        with contextlib.ExitStack() as stack:
            written: str | StorageError = ""
            if self.rank == writer:
                try:
                    written = stack.enter_context(_mark(folder))
                except StorageError as error:
                    written = error
            name = self.gather({self.rank: written})[writer]
            if isinstance(name, StorageError):
                raise name
            return self.gather({self.rank: (folder / name).exists()})

    def sharing(self, folder: Path) -> list[int]:
        """The ranks of the processes that share this one's disk at a folder, in order, this one among them.

        Raises:
            StorageError: one that shares it with no process before it cannot write there.
        """
        left, found = set(range(self.size)), [self.rank]
        while len(left) > 1:
            seeing = self.seeing(folder, writer := min(left))
            group = [rank for rank in sorted(left) if rank == writer or seeing[rank]]
            found = group if self.rank in group else found
            left -= set(group)
        return found

    def leave(self) -> None:
        """Leave the group of processes."""
        if self.size > 1 and torch.distributed.is_initialized():
            while _heartbeats:
                _heartbeats.pop().stop()
            torch.distributed.destroy_process_group()


class LostProcessError(TrainingError):
    """Another process of the run cannot be reached any more."""

    @classmethod
    def of(cls, error: RuntimeError) -> LostProcessError:
        """What torch reports, in words."""
        reason = re.sub(r"^\[\S+:\d+\] ", "", str(error).splitlines()[0])  # without the place in C++
        return cls(
            f"the connection to another process is lost ({reason}): it has ended with a message of its own, was "
            "killed, or its host is down; what was written stays good, go on with --resume"
        )


@contextlib.contextmanager
def _mark(folder: Path) -> Iterator[str]:
    """The name of an empty file that is in the folder meanwhile, and that nobody has asked for before."""
    with contextlib.ExitStack() as stack:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, prefix=".mark.", suffix=".tmp"))
        yield Path(file.name).name


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Report a lost connection for what it is."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError.of(error) from error


def _meet(rank: int, size: int, device: str) -> None:
    """Start the process group, on this process's GPU or its share of the cores."""
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        _take_gpu(device)
    elif (threads := _threads()) is not None:
        torch.set_num_threads(threads)
    if size > _number("LOCAL_WORLD_SIZE", "1") and (interface := interface_towards(os.environ["MASTER_ADDR"])):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)  # else that of the host's name, which may be loopback
    try:
        shared: Any = next(rendezvous("env://", rank, size, timeout=_ARRIVAL))[0]  # untyped
        meeting = f"meeting {next(_meetings)}"
        store = PrefixStore(meeting, shared)
        # Its own connection: who waits in another one keeps it from nothing.
        _heartbeats.append(Heartbeat(PrefixStore(f"{meeting} heartbeat", shared.clone()), rank, size))
        torch.distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=_PATIENCE,
            device_id=torch.device("cuda", torch.cuda.current_device()) if on_gpu else None,
        )
        _heartbeats[-1].start()
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
    return max(1, available_cores() // _number("LOCAL_WORLD_SIZE", "1"))


def _number(name: str, default: str | None = None) -> int:
    value = os.environ.get(name, default)
    if value is None or not value.isdecimal():
        raise ConfigError(f"{name} is {value!r}; wanted a whole number, as torchrun and accelerate launch set it")
    return int(value)
