"""FFmpeg's packets and frames, as far as it gets, and what of them is lost on the way."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import AudioError

#: What stands between joined mp3 files, and is no sound.
_TAGS = (b"ID3", b"TAG", b"APETAGEX")

#: Of the last packet of an Ogg file FFmpeg may say that it lasts for days.
_LONGEST_PACKET_S = 60.0
#: FFmpeg's formats of samples, without the letter for one plane a channel.
_TYPES = {
    "u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64,
}  # fmt: skip


def faults() -> tuple[type[Exception], ...]:
    """What FFmpeg and PyAV raise for files they cannot read."""
    import av

    return (av.error.FFmpegError, OSError, ValueError, OverflowError, MemoryError)


class Pass:
    """One pass over a stream from where its container stands.

    Attributes:
        lost_s: seconds of packets that could not be decoded, between others.
        trailing_s: seconds of packets since the last sound.
        broken_at: the byte at which FFmpeg gave up; 0 while it has not.
    """

    def __init__(self, container: Any, stream: Any, file: BinaryIO) -> None:
        self._container, self._stream, self._file = container, stream, file
        self.lost_s = self.trailing_s = 0.0
        self.broken_at = 0

    def packets(self) -> Iterator[Any]:
        """Packets of the stream; the last is empty."""
        while True:
            try:
                yield from self._container.demux(self._stream)
            except IndexError:  # a packet of a stream that began after the file was opened, which PyAV does not know
                continue
            except faults():
                self.broken_at = max(1, self._file.tell())
            return

    def frames(self) -> Iterator[Any]:
        """Decoded sound. Packets that cannot be decoded are passed over, as ffmpeg does."""
        failing, failed_s = faults(), 0.0
        for packet in self.packets():
            try:
                frames = packet.decode()
            except failing:
                self.trailing_s += duration_s(packet)
                failed_s += 0.0 if bytes(packet).startswith(_TAGS) else duration_s(packet)
                continue
            if not frames:
                self.trailing_s += duration_s(packet)
                continue
            self.lost_s, failed_s, self.trailing_s = self.lost_s + failed_s, 0.0, 0.0
            yield from frames


def duration_s(packet: Any) -> float:
    """How long a packet's sound lasts, in seconds; 0 where that is not known."""
    seconds = float((packet.duration or 0) * packet.time_base) if packet.size else 0.0
    return seconds if seconds <= _LONGEST_PACKET_S else 0.0


def samples_of(frame: Any, name: str) -> NDArray[Any]:
    """[num_samples, channels], in the frame's own memory.

    Raises:
        AudioError: a format of samples that NumPy does not have.
    """
    kind, count, channels = frame.format.name, frame.samples, frame.layout.nb_channels
    try:
        dtype, planes = _TYPES[kind.removesuffix("p")], frame.planes
        if not kind.endswith("p"):
            return np.frombuffer(planes[0], dtype, count * channels).reshape(count, channels)
        rows = [np.frombuffer(plane, dtype, count) for plane in planes[:channels]]
        return rows[0][:, None] if channels == 1 else np.stack(rows, axis=1)
    except (KeyError, IndexError, ValueError) as error:
        raise AudioError(f"{name}: samples in FFmpeg's format {kind!r}; convert it to wav or flac.") from error


def aligned(frames: Iterator[Any], rate: int, seconds: float) -> tuple[Iterator[Any], float | None]:
    """The same frames, and the time stamp of the first by those of so many seconds: alone it may be wrong.

    There is none where the frames have none, or another rate.
    """
    held: list[Any] = []
    begins_s: list[float] = []
    count = 0
    while count < seconds * rate and (frame := next(frames, None)) is not None:
        held.append(frame)
        if frame.pts is not None and frame.sample_rate == rate:
            begins_s.append(float(frame.pts * frame.time_base) - count / rate)
        count += frame.samples
    is_certain = held and len(begins_s) == len(held)
    return itertools.chain(held, frames), statistics.median(begins_s) if is_certain else None
