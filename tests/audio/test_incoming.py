"""Sound from pipes and microphones."""

from __future__ import annotations

import io
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import soundfile

from speechxfer.audio import Waveform
from speechxfer.audio.incoming import ENCODINGS, Incoming, Raw, microphone, piped
from speechxfer.errors import AudioError, ConfigError

SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, (5_000, 2)).astype(np.float32)


@contextmanager
def pipe(content: bytes) -> Iterator[int]:
    """The end of a pipe from which this can be read."""
    read, write = os.pipe()

    def fill() -> None:
        with os.fdopen(write, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield read
    finally:
        thread.join()
        os.close(read)


def written(encoding: str, format_: str) -> bytes:
    file = io.BytesIO()
    endian = {"endian": "LITTLE"} if format_ == "RAW" else {}
    soundfile.write(file, SOUND, 8_000, subtype=ENCODINGS[encoding], format=format_, **endian)
    return file.getvalue()


def taken(sound: Incoming) -> Waveform:
    return np.concatenate(list(sound))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_samples_are_read_as_they_are_encoded(encoding: str) -> None:
    with pipe(written(encoding, "RAW")) as file:
        sound = piped(file, Raw(encoding, 8_000, 2))
        assert sound.sample_rate == 8_000
        assert np.abs(taken(sound) - SOUND).max() < 0.03


def test_a_wav_stream_says_what_it_is_and_need_not_know_how_long() -> None:
    content = bytearray(written("s16le", "WAV"))
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"  # as ffmpeg writes into a pipe
    with pipe(bytes(content)) as file:
        sound = piped(file)
        assert sound.sample_rate == 8_000
        assert np.abs(taken(sound) - SOUND).max() < 1e-4


@pytest.mark.parametrize("content", [b"", b"something else that is no sound at all"])
def test_what_has_no_header_is_refused(content: bytes) -> None:
    with (
        pipe(content) as file,
        pytest.raises(AudioError, match=r"<standard input>: is empty, or begins with no header"),
    ):
        piped(file)


def test_a_pipe_without_samples_is_an_error() -> None:
    with pipe(b"") as file, pytest.raises(AudioError, match="ends before any sound"):
        taken(piped(file, Raw("s16le", 16_000)))


def test_a_chunk_is_all_that_has_come_in() -> None:
    sound = Incoming(16_000, 10.0)
    for _ in range(3):
        assert sound.put(np.zeros((100, 1), np.float32))
    sound.end()
    assert not sound.put(np.zeros((100, 1), np.float32))
    assert [len(chunk) for chunk in sound] == [300]


def test_no_more_waits_than_may() -> None:
    sound = Incoming(100, 1.0)
    sound.put(np.zeros((100, 1), np.float32))
    late = threading.Thread(target=lambda: sound.put(np.ones((1, 1), np.float32)))
    late.start()
    assert len(next(chunks := iter(sound))) == 100
    assert len(next(chunks)) == 1
    late.join()


class FakePortAudio(types.ModuleType):
    """A microphone that records what a test gives it."""

    PortAudioError = RuntimeError
    callback: Callable[..., None]

    def query_devices(self, device: int | str | None, _kind: str) -> dict[str, Any]:
        if device == "missing":
            raise ValueError("No input device matching 'missing'")
        return {"default_samplerate": 44_100.0 if device == 2 else 48_000.0}

    @contextmanager
    def InputStream(self, *, callback: Callable[..., None], **_about: Any) -> Iterator[None]:  # noqa: N802
        self.callback = callback
        yield


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    module = FakePortAudio("sounddevice")
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_a_microphone_records_at_its_own_rate(portaudio: FakePortAudio) -> None:
    buffer = np.ones((480, 1), np.float32)
    with microphone() as sound:
        portaudio.callback(buffer, 480, None, None)
        buffer[:] = 2  # PortAudio uses it again
        portaudio.callback(buffer, 480, None, None)
        sound.end()
        assert sound.sample_rate == 48_000
        assert taken(sound)[[0, -1], 0].tolist() == [1, 2]
    with microphone("2") as sound:
        assert sound.sample_rate == 44_100


def test_a_model_that_is_too_slow_for_a_microphone_is_reported(portaudio: FakePortAudio) -> None:
    with microphone() as sound:
        for _ in range(62):
            portaudio.callback(np.zeros((48_000, 1), np.float32), 48_000, None, None)
        with pytest.raises(AudioError, match="a minute of sound waits"):
            taken(sound)


def test_a_microphone_that_is_not_there_is_refused(portaudio: FakePortAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"No input device matching 'missing'; python -m sounddevice"), microphone("missing"):  # fmt: skip  # noqa: E501
        pass
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ConfigError, match=r"pip install 'speechxfer\[microphone\]'"), microphone():
        pass
