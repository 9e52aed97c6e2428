"""A server in this process, and models for it: a real one, and one that does as a test says."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import soundfile
import uvicorn
from starlette.testclient import TestClient

from speechxfer.decoding.hypothesis import Hypothesis, Prediction, Word
from speechxfer.decoding.options import DecodingOptions
from speechxfer.heads.reader import HeadTraits
from speechxfer.predictor import Predictor
from speechxfer.server.app import create_app

RATE = 16_000


class AllOptions(HeadTraits):
    kind = "scripted"
    decoding_options = frozenset({"language", "prompt", "temperature", "hotwords", "word_times", "beams"})


class NoOptions(HeadTraits):
    kind = "plain"


class Scripted(Predictor):
    """Writes how many seconds it was given, two words each with times; remembers its batches.

    While `gate` is closed, it does not answer. A waveform with a sample of 0.77 makes it fail.
    """

    def __init__(self, traits: HeadTraits | None = None) -> None:
        self._traits = traits or AllOptions()
        self.batches: list[tuple[list[float], DecodingOptions]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.language = "" if traits else "it"

    @property
    def traits(self) -> HeadTraits:
        return self._traits

    @property
    def max_duration_s(self) -> float | None:
        return 10.0

    def computed_s(self, duration_s: float) -> float:
        return duration_s

    def _predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions) -> Sequence[Prediction]:
        self.batches.append(([round(len(one) / RATE, 1) for one in waveforms], options))
        self.gate.wait(20)
        if any(0.769 < np.abs(one).max() < 0.771 for one in waveforms):
            raise RuntimeError("out of memory, say")
        return [self._hypothesis(len(one) / RATE) for one in waveforms]

    def _hypothesis(self, seconds: float) -> Hypothesis:
        words = (Word(f"{seconds:.1f}", 0.1, seconds / 2, 0.9), Word("seconds", seconds / 2, seconds, 0.8))
        return Hypothesis(f"{seconds:.1f} seconds", words, 0.9)


def sound(seconds: float, *, peak: float = 0.3, rate: int = RATE) -> np.ndarray:
    """Bursts of a tone, so that it has pauses."""
    times = np.arange(int(seconds * rate)) / rate
    return (peak * np.sin(2 * np.pi * 440 * times) * (times % 2 < 1.7)).astype(np.float32)


def wav(seconds: float, *, peak: float = 0.3, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound(seconds, peak=peak, rate=rate), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def serve() -> Iterator[Callable[..., TestClient]]:
    """Starts servers that are closed after the test."""
    clients: list[TestClient] = []

    def start(*models: Predictor, **options: object) -> TestClient:
        named = {f"m{number}": model for number, model in enumerate(models)}
        app = create_app(named, vad="none", **options)  # type: ignore[arg-type]
        client = TestClient(app, raise_server_exceptions=False)
        clients.append(client)
        return client.__enter__()

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def post(client: TestClient, audio: bytes | None = None, **fields: object) -> object:
    return client.post(
        "/v1/audio/transcriptions", files={"file": ("a.wav", wav(1) if audio is None else audio)}, data=fields
    )


@pytest.fixture
def live() -> Iterator[Callable[..., str]]:
    """Starts servers at a port of this machine, and returns their addresses."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(model: Predictor, **options: object) -> str:
        app = create_app({"m0": model}, vad="none", **options)  # type: ignore[arg-type]
        start.services.append(app.state.service)  # type: ignore[attr-defined]
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    start.services = []  # type: ignore[attr-defined]
    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join()
