"""Computes on the workers of a Ray cluster; the only place that imports ray.

Each actor opens the model once and is given two parts at a time, so that it never waits. Recordings are read in its own
process, or by tasks that stream windows of segments to it and wait when it is behind. When a worker is lost, its parts
are given out again in halves, each to an actor with nothing else to do, until the row to blame is alone; that row gets
an error.

Ray's tasks and actors are used without Ray Data: there a row that kills its worker is tried without end, and what is
finished is known by blocks and not by rows.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import math
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from speechxfer.engine import Found, Item, Task
from speechxfer.errors import ConfigError, SpeechxferError
from speechxfer.extras import need
from speechxfer.inference import Open, Settings, Window, windows
from speechxfer.jobs.output import Done
from speechxfer.jobs.parts import Part, Parts
from speechxfer.jobs.rows import Row, failed
from speechxfer.jobs.work import Work, computed, done_of, together

_MAJOR = "2"
#: A part that an actor has, and the next one, which is read meanwhile.
_PARTS_EACH = 2
#: A row over which so many workers are lost gets an error.
_MOST_ATTEMPTS = 3
#: Actors that are lost while they open the model, one after the other, before the job is given up: a model that is too
#: large for the workers. Where others are killed a second apart, three in a row may be.
_MOST_STARTS = 10
#: Windows of segments that are read ahead of an actor by each task.
_WINDOWS_AHEAD = 2
_ANSWER_S = 10.0
#: How often new nodes are looked for.
_LOOK_S = 10.0


def _ray() -> Any:
    """The package, which is imported only where it is used."""
    import ray

    return ray


@dataclass(frozen=True)
class _Rows:
    """Work with the rows of a part."""

    work: Work

    def versions(self) -> dict[str, str]:
        return self.work.versions()

    def open(self, readers: int) -> Callable[[Sequence[Row]], Done]:
        compute = self.work.open(functools.partial(_read_by_tasks, readers) if readers else None)
        return lambda rows: together(computed(rows, compute))

    def lost(self, row: Row, reason: str) -> Done:
        return done_of(failed(row, SpeechxferError(f"{reason}; cut it into excerpts, or leave it out")))


# What runs on workers


class _Worker:
    """An actor: it opens the work, then computes parts."""

    def __init__(self, task: Task[Any, Any], readers: int) -> None:
        self._task, self._readers = task, readers
        self._compute: Callable[[Sequence[Any]], Any]

    def open(self, versions: Mapping[str, str]) -> None:
        """Open the work, if it is the same here as it is for the driver.

        Raises:
            ConfigError: another version of the package or the model is on this machine.
        """
        for name, here in self._task.versions().items():
            if here != versions[name]:
                raise ConfigError(f"the worker on {socket.gethostname()} has {name} {here}, and the driver {versions[name]}; install the same there, or copy it")  # fmt: skip  # noqa: E501
        self._compute = self._task.open(self._readers)

    def compute(self, items: Sequence[Any]) -> Any:
        """What is made of a part."""
        return self._compute(items)


def _read_by_tasks(readers: int, recordings: Iterable[Open], settings: Settings) -> Generator[Window, None, None]:
    """Windows that so many tasks read, wherever the cluster has a free core."""
    ray = _ray()
    found, sent = list(recordings), replace(settings, computed_s=float, workers=0)
    size = max(1, -(-len(found) // readers))
    task = ray.remote(
        num_cpus=1, max_retries=0, num_returns="streaming", _generator_backpressure_num_objects=_WINDOWS_AHEAD
    )(_windows)
    streams = {start: task.remote(found[start : start + size], sent) for start in range(0, len(found), size)}
    try:
        for start, stream in streams.items():
            for reference in stream:
                yield [(start + index, entry) for index, entry in ray.get(reference)]
    finally:
        for stream in streams.values():
            ray.cancel(stream)


def _windows(recordings: Sequence[Open], settings: Settings) -> Iterator[Window]:
    yield from windows(recordings, settings)


# What runs in the driver


@dataclass(frozen=True)
class OnRay:
    """Computes on a cluster.

    Attributes:
        address: of the cluster; None for that of `$RAY_ADDRESS`, or else one that is started on this machine.
        actors: how many open the model; None for as many as the cluster has GPUs, or cores where it has none.
        gpus: whether each has a GPU; None if the cluster has any.
        readers: tasks that read recordings for each; None for one where it has a GPU, and otherwise none, so that
            recordings are read in between.
    """

    address: str | None = None
    actors: int | None = None
    gpus: bool | None = None
    readers: int | None = None

    def results(self, work: Work, parts: Parts, versions: Mapping[str, str]) -> Iterator[Done]:
        """The results of all parts, as they come; nothing is started if there are none.

        Raises:
            ConfigError: the cluster cannot be reached or lacks what was asked for, or workers have other versions.
        """
        return self._computed(_Rows(work), parts, versions)

    def check(self) -> None:
        """As `engine.Engine`: ray is installed, and somebody answers at the address."""
        check_installed()
        _check_answer(_chosen(self.address))

    def map(self, task: Task[Item, Found], items: Iterable[Item]) -> Iterator[Found]:
        """As `engine.Engine`; errors are those of `results`."""
        return self._computed(task, (Part([item]) for item in items), task.versions())

    def _computed(
        self, task: Task[Item, Found], parts: Iterator[Part[Item]], versions: Mapping[str, str]
    ) -> Iterator[Found]:
        first = next(parts, None)
        if first is None:
            return
        with connected(self.address):
            pool = _Pool(self, task, versions)
            try:
                yield from pool.results(chain([first], parts))
            finally:
                pool.close()

    def shape(self, resources: Mapping[str, float]) -> _Shape:
        """What actors are like on a cluster with such resources, and how many there are.

        Raises:
            ConfigError: it lacks what was asked for.
        """
        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if self.gpus and not gpus:
            raise ConfigError("the cluster has no GPU, and --device cuda asks for one; start Ray on a machine with a GPU, or pass --device cpu")  # fmt: skip  # noqa: E501
        on_gpus = bool(gpus) if self.gpus is None else self.gpus
        readers = int(on_gpus) if self.readers is None else self.readers
        fitting = gpus if on_gpus else cpus // (1 + readers)
        if fitting < max(self.actors or 1, 1) or (on_gpus and readers > cpus):
            has = f"{gpus} GPUs and {cpus} cores" if on_gpus else f"{cpus} cores"
            each, fewer = (f" with {readers} readers each", "--actors or --workers") if readers else ("", "--actors")
            raise ConfigError(f"the cluster has {has}, too few for {self.actors or 1} actors{each}; pass fewer {fewer}")
        return _Shape(self.actors or fitting, on_gpus, readers)


@dataclass(frozen=True)
class _Shape:
    actors: int
    on_gpus: bool
    readers: int


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to a cluster, or to one of this machine that is started and stopped; one that is open is used.

    Raises:
        ConfigError: nobody answers, or with other versions.
        MissingPackageError: ray is not installed.
    """
    check_installed()
    # Nothing is reported to anybody from a cluster that is started here.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    chosen = _chosen(address)
    _check_answer(chosen)
    try:
        ray.init(chosen, include_dashboard=None if address else False, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--address {chosen}: Ray does not connect ({_line(error)}); check the address, and that the cluster has the versions of Ray and Python that are here") from error  # fmt: skip  # noqa: E501
    try:
        yield
    finally:
        ray.shutdown()


def check_installed() -> None:
    """Look whether ray can be used, without importing it.

    Raises:
        ConfigError: it has another major version.
        MissingPackageError: it is not installed.
    """
    need("ray", "--engine ray")
    version = importlib.metadata.version("ray")
    if version.partition(".")[0] != _MAJOR:
        raise ConfigError(f"ray {version} is installed; wanted {_MAJOR}: python -m pip install 'speechxfer[ray]'")


def _chosen(address: str | None) -> str:
    """The address of a cluster; "local" for one that is started here."""
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _check_answer(address: str) -> None:
    """Ray itself waits for minutes."""
    if "://" in address:
        raise ConfigError(f"--address {address}: is no host and port; start the command on a machine of the cluster (ray job submit), with --address auto")  # fmt: skip  # noqa: E501
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"--address {address}: nobody answers there ({_line(error)}); wanted the host and port that ray start --head prints") from error  # fmt: skip  # noqa: E501


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@dataclass(eq=False)
class _Actor:
    handle: Any
    is_open: bool = False
    running: list[Part[Any]] = field(default_factory=list)

    @property
    def has_room(self) -> bool:
        """Whether it takes one more part; one that others were lost over is computed alone."""
        return self.is_open and len(self.running) < _PARTS_EACH and not any(part.attempts for part in self.running)


class _Pool:
    """The actors, and what each is doing."""

    def __init__(self, engine: OnRay, task: Task[Any, Any], versions: Mapping[str, str]) -> None:
        self._ray = _ray()
        self._engine, self._task, self._sent, self._versions = engine, task, self._ray.put(task), versions
        self._shape = engine.shape(self._ray.cluster_resources())
        self._actors: list[_Actor] = []
        self._opening: dict[Any, _Actor] = {}
        self._running: dict[Any, tuple[_Actor, Part[Any]]] = {}
        self._lost: deque[Part[Any]] = deque()
        self._lost_starts = 0
        self._looked = -math.inf

    def results(self, parts: Iterator[Part[Any]]) -> Iterator[Any]:
        """What becomes of all parts."""
        while True:
            self._grow()
            more = self._give_out(parts)
            if not (more or self._running or self._lost):
                return
            waiting = [*self._running, *self._opening]
            found, _ = self._ray.wait(waiting, num_returns=1, timeout=_LOOK_S)
            for reference in found:
                if reference in self._opening:
                    self._opened(reference)
                else:
                    yield from self._finished(reference)

    def close(self) -> None:
        """End all actors."""
        for actor in self._actors:
            self._ray.kill(actor.handle)

    def _grow(self) -> None:
        """Start actors in place of lost ones, and on nodes that have joined."""
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._looked = now
            with contextlib.suppress(ConfigError):  # nodes are lost; others may come
                self._shape = self._engine.shape(self._ray.cluster_resources())
        while len(self._actors) < self._shape.actors:
            shape = self._shape
            options = {"num_cpus": 0, "num_gpus": 1} if shape.on_gpus else {"num_cpus": 1}
            # With readers, the next part is read while one is computed.
            made = self._ray.remote(max_concurrency=_PARTS_EACH if shape.readers else 1, **options)(_Worker)
            actor = _Actor(made.remote(self._sent, shape.readers))
            self._actors.append(actor)
            self._opening[actor.handle.open.remote(self._versions)] = actor

    def _give_out(self, parts: Iterator[Part[Any]]) -> bool:
        """Give parts to all actors that have room; returns whether there may be more."""
        while ready := [actor for actor in self._actors if actor.has_room]:
            actor = min(ready, key=lambda one: len(one.running))
            if self._lost:
                if actor.running:
                    break  # until one has nothing else to do
                part = self._lost.popleft()
            elif (following := next(parts, None)) is not None:
                part = following
            else:
                return False
            actor.running.append(part)
            self._running[actor.handle.compute.remote(part.rows)] = actor, part
        return True

    def _opened(self, reference: Any) -> None:
        actor = self._opening.pop(reference)
        try:
            self._ray.get(reference)
            actor.is_open, self._lost_starts = True, 0
        except self._ray.exceptions.RayError as error:
            self._raise_other(error)
            self._drop(actor)
            self._lost_starts += 1
            if self._lost_starts == _MOST_STARTS:
                raise SpeechxferError(f"{_MOST_STARTS} workers were lost while they opened the model ({_line(error)}); see the logs of Ray") from error  # fmt: skip  # noqa: E501

    def _finished(self, reference: Any) -> Iterator[Any]:
        actor, part = self._running.pop(reference)
        actor.running.remove(part)
        try:
            yield self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._raise_other(error)
            if isinstance(error, self._ray.exceptions.RayActorError):
                self._drop(actor)
            if part.attempts + 1 >= _MOST_ATTEMPTS and len(part.rows) == 1:
                reason = f"{part.attempts + 1} workers were lost over it, perhaps for memory"
                yield self._task.lost(part.rows[0], reason)
            else:
                self._lost += part.halves()

    def _raise_other(self, error: Exception) -> None:
        """Raise what went wrong in a worker, unless the worker itself was lost."""
        cause: Exception = error
        while isinstance(cause, self._ray.exceptions.RayTaskError):
            cause = cause.cause
        if not isinstance(cause, self._ray.exceptions.RayError):
            raise cause from error

    def _drop(self, actor: _Actor) -> None:
        if actor in self._actors:
            self._actors.remove(actor)
            self._ray.kill(actor.handle)
