"""One thread for each model, which computes the segments of all requests in batches.

A segment is due when its playing would begin, had the recording begun with the request: `arrival + seconds so far`.
What is due first is computed first. So a prompt of 3 s goes before the later minutes of a recording that came earlier,
and a long recording is never put off without end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace

import numpy as np

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.batching import batches
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.heads.reader import HeadTraits
from speechxfer.inference import Event, events
from speechxfer.inference.streaming import Stream
from speechxfer.inference.transcribing import Open
from speechxfer.inference.voice_activity import Detector
from speechxfer.predictor import Predictor

#: Seconds of speech that a request reads ahead of what is computed.
_AHEAD_S = 30.0
#: Cost of a batch (`data.batching.cost_s`), for each that fits the device; those in it are ready together.
_BATCH_S = 30.0


class Canceled(Exception):  # noqa: N818  # nothing is wrong
    """The client has left."""


@dataclass(eq=False)
class _Job:
    """A waveform that is to be computed."""

    waveform: np.ndarray
    options: DecodingOptions
    due: float
    result: Future[Prediction] = field(default_factory=Future)

    @property
    def duration_s(self) -> float:
        return len(self.waveform) / SAMPLE_RATE


class Worker:
    """The thread that computes for all requests of one model.

    Args:
        model: is used by this thread alone.
        on_batch: called with the number of segments and the seconds of audio of each batch that was computed.
    """

    def __init__(
        self, model: Predictor, on_batch: Callable[[int, float], None] = lambda _count, _seconds: None
    ) -> None:
        self.model = model
        self._on_batch = on_batch
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Segments that are not computed yet."""
        return len(self._jobs)

    def put(self, jobs: Sequence[_Job]) -> None:
        """Have waveforms computed; their results are set when they are."""
        with self._changed:
            if self._closed:
                raise Canceled
            self._jobs += jobs
            self._changed.notify()

    def close(self) -> None:
        """End the thread after the batch that is being computed; what waits is canceled."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.result.cancel()
            self._jobs.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            if batch := [job for job in batch if job.result.set_running_or_notify_cancel()]:
                self._compute(batch)

    def _take(self) -> list[_Job]:
        """The batch of the job that is due first; empty when the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                return []
            first = min(self._jobs, key=lambda job: job.due)
            alike = [job for job in self._jobs if job.options == first.options]
            lengths_s = [self.model.computed_s(job.duration_s) for job in alike]
            budget_s, most_padding = _BATCH_S * self.model.batch_scale, self.model.traits.most_padding
            found = batches(range(len(alike)), lengths_s, budget_s, most_padding)
            batch = next(batch for batch in ([alike[index] for index in one] for one in found) if first in batch)
            self._jobs = [job for job in self._jobs if job not in batch]
            return batch

    def _compute(self, batch: Sequence[_Job]) -> None:
        """Set the results of a batch; where it fails, each part alone."""
        try:
            predictions = self.model.predict([job.waveform for job in batch], batch[0].options)
        except Exception as error:
            if len(batch) == 1:
                batch[0].result.set_exception(error)
                return
            half = len(batch) // 2
            self._compute(batch[:half])
            self._compute(batch[half:])
            return
        for job, prediction in zip(batch, predictions, strict=True):
            job.result.set_result(prediction)
        self._on_batch(len(batch), sum(job.duration_s for job in batch))


class Queued(Predictor):
    """The model as one request sees it: each prediction waits its turn in the model's queue.

    Args:
        worker: of the model.
        timeout_s: seconds from now after which `TimeoutError` is raised.
    """

    def __init__(self, worker: Worker, timeout_s: float = float("inf")) -> None:
        self._worker = worker
        self._arrived = time.monotonic()
        self._timeout_s = timeout_s
        self._done_s = 0.0
        self._canceled = False
        self._waiting: Sequence[_Job] = ()
        self.language = worker.model.language

    @property
    def traits(self) -> HeadTraits:
        """Those of the model."""
        return self._worker.model.traits

    @property
    def max_duration_s(self) -> float | None:
        """That of the model."""
        return self._worker.model.max_duration_s

    def computed_s(self, duration_s: float) -> float:
        """That of the model."""
        return self._worker.model.computed_s(duration_s)

    def restart(self) -> None:
        """Count time from now on, for what is asked next."""
        self._arrived, self._done_s = time.monotonic(), 0.0

    def cancel(self) -> None:
        """Have nothing more computed; from any thread."""
        self._canceled = True
        for job in self._waiting:
            job.result.cancel()

    def check(self) -> None:
        """Check that the request goes on.

        Raises:
            Canceled: it was canceled.
            TimeoutError: its time is over.
        """
        if self._canceled:
            raise Canceled
        if time.monotonic() - self._arrived > self._timeout_s:
            raise TimeoutError

    def predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> Sequence[Prediction]:
        """As the model predicts; in batches with what others have queued.

        Raises:
            Canceled: the request was canceled.
            TimeoutError: its time is over.
        """
        options = self.checked(options)
        jobs = []
        for waveform in waveforms:
            jobs.append(_Job(waveform, options, self._arrived + self._done_s))
            self._done_s += len(waveform) / SAMPLE_RATE
        self._waiting = jobs
        self.check()
        self._worker.put(jobs)
        try:
            left_s = self._arrived + self._timeout_s - time.monotonic()
            return [job.result.result(None if left_s == float("inf") else left_s) for job in jobs]
        except CancelledError:
            raise Canceled from None
        finally:
            self._waiting = ()
            for job in jobs:
                job.result.cancel()

    def _predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions) -> Sequence[Prediction]:
        return self.predict(waveforms, options)

    def events(self, recording: Open, options: DecodingOptions, detector: Detector) -> Iterator[Event]:
        """The segments of a recording as they come, and at last its duration in seconds, or what went wrong.

        Raises:
            ConfigError: an option that the head does not have.
        """
        settings = replace(self.segmenting("none"), ahead_s=_AHEAD_S, detector=detector)
        return (event for _, event in events([recording], self.recognizer(options), settings))

    def live(self, sample_rate: float, options: DecodingOptions, detector: Detector, pause_s: float) -> Stream:
        """A stream that is fed with sound as it comes, whose text is final after a pause of `pause_s` seconds.

        Raises:
            ConfigError: an option that the head does not have.
        """
        recognize = self.recognizer(options)
        return Stream(recognize, sample_rate, max_segment_s=self._segment_s, detector=detector, pause_s=pause_s)
