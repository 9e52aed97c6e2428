"""What all requests share: the models with their queues, the places, and the threads that read recordings."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from speechxfer.audio import SAMPLE_RATE, Waveform, blocks
from speechxfer.errors import AudioError, ConfigError, printable
from speechxfer.inference import Event
from speechxfer.inference.voice_activity import Detector, detector
from speechxfer.predictor import Predictor
from speechxfer.server.errors import ApiError
from speechxfer.server.fields import Asked
from speechxfer.server.limits import Limits
from speechxfer.server.metrics import Metrics
from speechxfer.server.queueing import Queued, Worker
from speechxfer.sources import AudioSource

_T = TypeVar("_T")
#: Seconds of audio that are read at a time.
_BLOCK_S = 10.0


@dataclass(frozen=True)
class Served:
    """A model under the name that clients know."""

    name: str
    worker: Worker
    detector: Detector
    created: int

    @property
    def model(self) -> Predictor:
        """The model itself."""
        return self.worker.model

    def to_dict(self) -> dict[str, object]:
        """As OpenAI's client reads it."""
        return {"id": self.name, "object": "model", "created": self.created, "owned_by": "speechxfer"}


class Service:
    """Models that are served within limits.

    Args:
        models: by the names that clients know.
        limits: of requests.
        vad: how speech is found.

    Raises:
        ConfigError: no model, one that writes no text, or another `vad`.
    """

    def __init__(self, models: Mapping[str, Predictor], limits: Limits, vad: str) -> None:
        for name, model in models.items():
            if model.traits.task != "transcription":
                raise ConfigError(f"{name} is a classifier and writes no text; serve models that do")
        if not models:
            raise ConfigError("no model is named; wanted at least one")
        self.limits, self.metrics = limits, Metrics()
        detectors = {name: detector(vad, model.voice_activity) for name, model in models.items()}
        self._models = {name: self._serve(name, model, detectors[name]) for name, model in models.items()}
        self._threads = ThreadPoolExecutor(limits.places, "request")
        self._taken = 0
        self._running: set[Queued] = set()
        self.is_stopped = False

    def _serve(self, name: str, model: Predictor, detect: Detector) -> Served:
        worker = Worker(model, self.metrics.batch_counter(name))
        self.metrics.watch_queue(name, lambda: worker.waiting)
        return Served(name, worker, detect, int(time.time()))

    @property
    def models(self) -> Iterable[Served]:
        """All models, in the order in which they were named."""
        return self._models.values()

    def find(self, name: str | None) -> Served:
        """A model by its name; where there is one, the name may be left out.

        Raises:
            ApiError: there is no such model, or several and no name.
        """
        if name is None and len(self._models) == 1:
            return next(iter(self._models.values()))
        served = ", ".join(self._models)
        if name is None:
            raise ApiError(400, f"model: is missing; this server has {served}", param="model", code="missing_required_parameter")  # fmt: skip  # noqa: E501
        if name not in self._models:
            raise ApiError(404, f"model: there is no {printable(name)[:80]!r}; this server has {served}", param="model", code="model_not_found")  # fmt: skip  # noqa: E501
        return self._models[name]

    @property
    def stopped(self) -> ApiError:
        """What requests are answered once the server is stopped."""
        return ApiError(503, "the server is stopping; try again later", code="stopping", retry_after_s=30)

    def stop(self) -> None:
        """End the requests in progress, and refuse others."""
        self.is_stopped = True
        for queued in tuple(self._running):
            queued.cancel()

    def close(self) -> None:
        """End all threads."""
        for served in self.models:
            served.worker.close()
        self._threads.shutdown(cancel_futures=True)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of the places.

        Raises:
            ApiError: all are taken, or the server is stopping.
        """
        if self.is_stopped:
            raise self.stopped
        if self._taken >= self.limits.places:
            raise ApiError(429, f"all {self.limits.places} places of this server are taken; try again in a few seconds", code="queue_full", retry_after_s=2)  # fmt: skip  # noqa: E501
        self._taken += 1
        self.metrics.places.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            self.metrics.places.set(self._taken)

    async def call(self, function: Callable[..., _T], *arguments: object) -> _T:
        """Call a function in a thread; of each place there is one at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(function, *arguments))

    async def events(self, source: AudioSource, model: Served, asked: Asked) -> AsyncGenerator[Event]:
        """The segments of a recording as they come, and its duration; when nobody reads on, nothing more is computed.

        Raises:
            AudioError: the recording cannot be used.
            TimeoutError: it took too long.
            ApiError: the server was stopped while the recording was uploaded.
        """
        queued = Queued(model.worker, self.limits.timeout_s)
        self._running.add(queued)
        recording = functools.partial(_checked, source, queued, self.limits.duration_s)
        found = queued.events(recording, asked.options, asked.detector(model.detector))
        step: asyncio.Future[Event | None] | None = None
        try:
            if self.is_stopped:
                raise self.stopped
            while True:
                step = asyncio.ensure_future(self.call(next, found, None))
                event = await asyncio.shield(step)
                if event is None:
                    return
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            queued.cancel()
            self._running.discard(queued)
            if step is not None and not step.done():
                with contextlib.suppress(Exception):
                    await asyncio.shield(step)


def _checked(source: AudioSource, queued: Queued, most_s: float) -> Iterator[Waveform]:
    """The blocks of a recording, as long as the request goes on and the recording may."""
    read_s = 0.0
    for block in blocks(source, block_s=_BLOCK_S):
        queued.check()
        read_s += len(block) / SAMPLE_RATE
        if read_s > most_s:
            raise AudioError(f"{source.name}: is longer than {most_s:g} s, the most that this server takes; send it in parts.")  # fmt: skip  # noqa: E501
        yield block


def warm_up(model: Predictor) -> None:
    """Have all compiled and allocated that a first request would wait for."""
    noise = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 0.1
    model.predict([noise])
