"""What Prometheus reads: requests, audio, batches and what waits."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)


class Metrics:
    """The figures of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "speechxfer_requests", "Transcription requests by status of HTTP.", ["status"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "speechxfer_request_seconds", "Seconds from the request to its answer or first event.", buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self.places = Gauge("speechxfer_places_taken", "Requests and sessions in progress.", registry=self._registry)
        self._audio = Counter("speechxfer_audio_seconds", "Seconds of speech computed.", ["model"], registry=self._registry)  # fmt: skip  # noqa: E501
        self._batches = Histogram(
            "speechxfer_batch_segments", "Segments computed together.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self._registry,
        )  # fmt: skip
        self._waiting = Gauge("speechxfer_waiting_segments", "Segments that wait.", ["model"], registry=self._registry)

    def batch_counter(self, model: str) -> Callable[[int, float], None]:
        """Called with the segments and seconds of each batch of a model."""
        batches, audio = self._batches.labels(model), self._audio.labels(model)

        def count(segments: int, seconds: float) -> None:
            batches.observe(segments)
            audio.inc(seconds)

        return count

    def watch_queue(self, model: str, waiting: Callable[[], int]) -> None:
        """Read how many segments wait for a model whenever it is asked for."""
        self._waiting.labels(model).set_function(waiting)

    def text(self) -> bytes:
        """All figures in Prometheus' format."""
        return generate_latest(self._registry)
