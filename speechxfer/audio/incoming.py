"""Sound that comes in while it is used: from a microphone, or through a pipe from another program.

Another thread takes it, so that no sound is lost while a model computes; the next chunk is all that has come since.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from speechxfer.audio.pieces import Waveform
from speechxfer.errors import AudioError, ConfigError, MissingPackageError, SpeechxferError
from speechxfer.extras import remedy

#: Encodings of samples without a header, as in ffmpeg's `-f`, and what libsndfile calls them.
ENCODINGS = {
    "s16le": "PCM_16",
    "s24le": "PCM_24",
    "s32le": "PCM_32",
    "f32le": "FLOAT",
    "u8": "PCM_U8",
    "mulaw": "ULAW",
    "alaw": "ALAW",
}
_NAME = "<standard input>"

_READ_S = 0.02  # at a time
_MOST_READ_S = 1.0  # from a pipe, ahead of its use
_MOST_RECORDED_S = 60.0  # by a microphone, and not used yet


@dataclass(frozen=True, slots=True)
class Raw:
    """Samples without a header: their encoding (one of `ENCODINGS`), rate in Hz and number of channels."""

    encoding: str
    sample_rate: int
    channels: int = 1


class Incoming:
    """Chunks [num_samples, channels] that one thread puts and another takes, until the sound ends."""

    def __init__(self, sample_rate: float, most_s: float) -> None:
        """No more than `most_s` seconds wait to be taken."""
        self.sample_rate = sample_rate
        self._most = most_s * sample_rate
        self._chunks: list[Waveform] = []
        self._is_over = False
        self._error: SpeechxferError | None = None
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Waveform]:
        """Wait for sound, and give all that is there.

        Raises:
            AudioError: it cannot be read any further.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._chunks or self._is_over)
                chunks, self._chunks = self._chunks, []
                self._changed.notify_all()
            if chunks:
                yield np.concatenate(chunks)
            elif self._error:
                raise self._error
            else:
                return

    @property
    def is_full(self) -> bool:
        """Whether as much waits as may."""
        return sum(map(len, self._chunks)) >= self._most

    def put(self, chunk: Waveform) -> bool:
        """Add some sound as soon as there is room; returns whether more is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or not self.is_full)
            if not self._is_over:
                self._chunks.append(chunk)
                self._changed.notify_all()
            return not self._is_over

    def end(self, error: SpeechxferError | None = None) -> None:
        """No more sound comes, or it ends with an error; the handler of a signal may call this."""
        with self._changed:
            self._error = self._error if self._is_over else error
            self._is_over = True
            self._changed.notify_all()


def piped(file: int, raw: Raw | None = None) -> Incoming:
    """The sound that another program writes to a file descriptor: WAV, or another format with a header, or `raw`.

    Raises:
        AudioError: it begins with no header.
    """
    import soundfile

    about: dict[str, Any] = {}
    if raw:
        about = {"format": "RAW", "subtype": ENCODINGS[raw.encoding], "endian": "LITTLE"}
        about |= {"samplerate": raw.sample_rate, "channels": raw.channels}
    try:
        opened = soundfile.SoundFile(file, closefd=False, **about)
    except soundfile.LibsndfileError as error:
        remedy = "name the encoding of samples without one (--raw s16le --sample-rate 16000), or convert it: ffmpeg -i … -f wav -"  # fmt: skip  # noqa: E501
        raise AudioError(f"{_NAME}: is empty, or begins with no header of a WAV file; {remedy}.") from error
    sound = Incoming(opened.samplerate, _MOST_READ_S)

    def read() -> None:
        size, is_empty = max(1, round(_READ_S * opened.samplerate)), True
        while len(chunk := opened.read(size, dtype="float32", always_2d=True)):
            is_empty = False
            if not sound.put(chunk):
                return
        sound.end(AudioError(f"{_NAME}: ends before any sound.") if is_empty else None)

    threading.Thread(target=read, name="standard input", daemon=True).start()
    return sound


@contextlib.contextmanager
def microphone(device: str | None = None) -> Iterator[Incoming]:
    """What a microphone records, at its own rate; the default one, or that of a number or a part of its name.

    Raises:
        ConfigError: `sounddevice` or its library is not installed, or there is no such microphone.
        AudioError: while iterating, less is used than recorded.
    """
    try:
        import sounddevice
    except ImportError:
        raise MissingPackageError(remedy("sounddevice"), name="sounddevice") from None
    except OSError as error:  # on Linux its package holds no library
        raise ConfigError(f"sounddevice: {error}; install it, for instance: apt install libportaudio2") from None
    chosen = int(device) if device and device.isdecimal() else device
    try:
        sample_rate = float(sounddevice.query_devices(chosen, "input")["default_samplerate"])
        sound = Incoming(sample_rate, _MOST_RECORDED_S)

        def record(chunk: Waveform, *_about: object) -> None:
            if sound.is_full:
                sound.end(AudioError("<microphone>: a minute of sound waits to be transcribed; take a smaller model, or export it."))  # fmt: skip  # noqa: E501
            sound.put(chunk.copy())

        recording = sounddevice.InputStream(
            device=chosen, samplerate=sample_rate, channels=1, dtype="float32", callback=record
        )
    except (ValueError, sounddevice.PortAudioError) as error:
        raise ConfigError(f"microphone: {error}; python -m sounddevice lists those there are") from error
    with recording:
        yield sound
