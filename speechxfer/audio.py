"""Sound from files, bytes and arrays: everything becomes mono float32 at 16 kHz here, and nowhere else.

libsndfile reads what it can (wav, flac, ogg, opus, mp3); whatever it refuses (m4a, mp4, webm, amr, video)
goes to FFmpeg through PyAV, and so do excerpts of mp3. Nothing here knows of manifests, batches or models.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import soundfile as sf
from numpy.typing import ArrayLike, NDArray

from speechxfer.errors import AudioError, TruncatedAudioError

SAMPLE_RATE = 16_000
"""Samples per second of every waveform this package computes with, in Hz."""

Source = str | os.PathLike[str] | bytes | BinaryIO
"""A file's path, its bytes, or an open binary file (read from its beginning, never closed)."""

AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3gp", "aac", "aif", "aifc", "aiff", "amr", "au", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov", "mp2"),
        *("mp3", "mp4", "oga", "ogg", "opus", "sph", "wav", "weba", "webm", "wma"),
    )
)
"""What is taken for a recording in a folder; a file that is named is read whatever it is called."""

Waveform = NDArray[np.float32]

_CHUNK = 1 << 18  # frames decoded at a time: what bounds the memory of a stream
_TOLERANCE_S = 0.1  # headers, manifests and time stamps are rounded; what differs by more is an error
_LONGEST_GAP_S = 600.0  # a larger jump between time stamps is a clock that was reset, not a pause
_PREROLL_S = 0.5  # decoders need a few packets before the first wanted one to sound as in a full run
_UNKNOWN_SIZE = 0x7FFF_F000  # recorders that cannot rewind write this or more as the size of their data
_HEADER_SLACK = 1024  # bytes by which sloppy writers miscount
_GENERIC_INDEX = 0x0100  # FFmpeg's flag of raw streams, whose durations it guesses from a bit rate
_COPY_AGAIN = "copy or download the file again"


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says: `duration` in seconds, `sample_rate` in Hz as stored, `channels`."""

    duration: float
    sample_rate: int
    channels: int


def info(source: Source) -> AudioInfo:
    """Duration, sample rate and channels, without decoding any sound.

    Where a header lacks the duration, the time stamps of the packets give it.

    Raises:
        AudioError: there is no such file, it holds no audio, or it is visibly cut short.
    """
    with _open(source) as reader:
        return AudioInfo(reader.length_s(), reader.sample_rate, reader.channels)


def load(source: Source, *, start: float = 0.0, duration: float | None = None) -> Waveform:
    """The sound of a file, or an excerpt of it reached by seeking.

    Args:
        source: path, bytes or open binary file.
        start: where the excerpt begins, in seconds of the audio stream.
        duration: its length in seconds; None reads to the end. May overshoot the end by 0.1 s.

    Returns:
        float32 [num_samples], mono, 16 kHz. At a stored rate of 16 kHz an excerpt has exactly
        `round(duration * 16000)` samples, unless the file ends before.

    Raises:
        AudioError: missing, empty, damaged or cut-short files, NaN samples, excerpts outside the file.
    """
    return np.concatenate(list(_stream(source, start, duration)))


def blocks(source: Source, *, block_s: float = 30.0) -> Iterator[Waveform]:
    """The same samples as `load(source)` in blocks of `block_s` seconds (the last may be shorter).

    Memory stays flat however long the file is; errors arise while iterating.

    Raises:
        AudioError: as for `load`.
    """
    if not SAMPLE_RATE * block_s >= 1:
        raise AudioError(f"block_s is {block_s}; blocks need a length in seconds above 0.")
    return _regrouped(_stream(source, 0.0, None), round(block_s * SAMPLE_RATE))


def as_stored(source: Source, *, start: float = 0.0, duration: float | None = None) -> Iterator[tuple[int, Waveform]]:
    """What a file holds, neither mixed nor resampled, for those who judge recordings rather than use them.

    Yields:
        The sample rate in Hz and a piece of the sound, float32 [num_samples, channels]; not looked through for NaN.

    Raises:
        AudioError: as for `load`, while iterating.
    """
    with _open(source, seeking=start > 0) as reader:
        for piece in _complete(reader, *_span(reader, start, duration)):
            yield reader.sample_rate, piece


def from_array(samples: ArrayLike, sample_rate: float) -> Waveform:
    """Samples already in memory as float32 mono at 16 kHz, in memory of their own.

    Args:
        samples: [num_samples], [num_samples, channels], or [channels, num_samples] with at most eight
            channels. int16, int32 and uint8 are scaled to [-1, 1); floats are taken as they are.
        sample_rate: of `samples`, in Hz.

    Raises:
        AudioError: no samples, NaN, another number of dimensions or type, a rate that is not positive.
    """
    if not 0 < sample_rate < math.inf:
        raise AudioError(f"<array>: the sample rate is {sample_rate}; a number of Hz above 0 is wanted.")
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        remedy = "pass numbers, or `tensor.detach().cpu().float()`"
        raise AudioError(f"<array>: not an array of numbers ({error}); {remedy}.") from error
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(f"<array>: shape {array.shape} holds no samples; [n] or [n, channels] is wanted.")
    array = array[:, None] if array.ndim == 1 else array
    if array.shape[0] <= min(8, array.shape[1] - 1):
        array = array.T
    waveform = _average(_floats(array, "<array>"))
    return np.concatenate(list(_at_16_khz([waveform], sample_rate, "<array>", 0.0)))


# From any reader to mono at 16 kHz


def _stream(source: Source, start: float, duration: float | None) -> Iterator[Waveform]:
    with _open(source, seeking=start > 0) as reader:
        first, stop = _span(reader, start, duration)
        pieces = map(_average, _complete(reader, first, stop))
        yield from _at_16_khz(pieces, reader.sample_rate, reader.name, first / reader.sample_rate)


def _span(reader: _Reader, start: float, duration: float | None) -> tuple[int, int | None]:
    """An excerpt as samples at the stored rate, checked against the length of the file."""
    if not 0 <= start < math.inf or not (duration is None or 0 < duration < math.inf):
        wanted = "start must be at least 0 and duration above 0 (or absent, to read to the end)"
        raise AudioError(f"{reader.name}: an excerpt from {start} s for {duration} s; {wanted}.")
    if start == 0 and duration is None:
        return 0, None
    length = reader.length_s()
    end = start + (duration or 0.0)
    if start >= length or end > length + _TOLERANCE_S:
        wanted = f"from {start:.3f} s to " + ("the end" if duration is None else f"{end:.3f} s")
        raise AudioError(
            f"{reader.name}: the file is {length:.3f} s long, but an excerpt {wanted} is wanted; "
            "correct start and duration, or check that this is the right file."
        )
    first = round(start * reader.sample_rate)
    return first, None if duration is None else first + round(duration * reader.sample_rate)


def _complete(reader: _Reader, first: int, stop: int | None) -> Iterator[Waveform]:
    """The reader's pieces; too few of them is an error, because decoders end early without a word."""
    end = first
    for piece in reader.pieces(first, stop):
        end += len(piece)
        yield piece
    wanted = min((bound for bound in (stop, reader.promised) if bound is not None), default=end)
    if wanted - end > _TOLERANCE_S * reader.sample_rate:
        times = f"{wanted / reader.sample_rate:.2f} s of sound, {end / reader.sample_rate:.2f} s are there"
        raise TruncatedAudioError(f"{reader.name}: cut short: its header promises {times}; {_COPY_AGAIN}.")


def _at_16_khz(pieces: Iterable[Waveform], rate: float, name: str, start_s: float) -> Iterator[Waveform]:
    """Check and resample mono pieces; at least one sample comes out."""
    checked = _finite(pieces, rate, name, start_s)
    num_samples = 0
    for piece in checked if rate == SAMPLE_RATE else _resampled(checked, rate):
        num_samples += len(piece)
        yield piece
    if not num_samples:
        raise AudioError(f"{name}: holds no samples; leave it out, or record it again.")


def _finite(pieces: Iterable[Waveform], rate: float, name: str, start_s: float) -> Iterator[Waveform]:
    position = 0
    rest = iter(pieces)
    for piece in rest:
        bad = ~np.isfinite(piece)
        if bad.any():
            first_s = start_s + (position + int(bad.argmax())) / rate
            count = int(bad.sum()) + sum(int((~np.isfinite(later)).sum()) for later in rest)
            raise AudioError(
                f"{name}: {count} samples are NaN or infinite, the first at {first_s:.3f} s; "
                "finite numbers are wanted: export the file again, or leave it out."
            )
        position += len(piece)
        yield piece


def _resampled(pieces: Iterable[Waveform], rate: float) -> Iterator[Waveform]:
    import soxr

    stream = soxr.ResampleStream(rate, SAMPLE_RATE, num_channels=1, dtype="float32", quality="HQ")
    for piece in pieces:
        yield stream.resample_chunk(piece)
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)


def _regrouped(pieces: Iterable[Waveform], size: int) -> Iterator[Waveform]:
    """The same samples in pieces of exactly `size`; the last may be shorter, none is empty."""
    held: list[Waveform] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            joined = np.concatenate(held)
            count = len(joined) % size
            yield from (joined[at : at + size] for at in range(0, len(joined) - count, size))
            held = [joined[len(joined) - count :]]
    if count:
        yield np.concatenate(held)


def _floats(samples: NDArray[Any], name: str) -> Waveform:
    """Samples of any supported type as float32; integers are scaled to [-1, 1)."""
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype in (np.int16, np.int32):
        samples = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    elif samples.dtype.kind != "f":
        raise AudioError(f"{name}: samples of type {samples.dtype}; float, int16, int32 or uint8 is wanted.")
    # What overflows here and below becomes infinite or NaN, and is reported as such.
    with np.errstate(over="ignore", invalid="ignore"):
        return samples.astype(np.float32, copy=False)


def _average(floats: Waveform) -> Waveform:
    """[n, channels] to [n]."""
    with np.errstate(over="ignore", invalid="ignore"):
        mono: Waveform = floats[:, 0] if floats.shape[1] == 1 else floats.mean(axis=1)
        return mono


# Opening files


@contextlib.contextmanager
def _open(source: Source, *, seeking: bool = False) -> Iterator[_Reader]:
    with contextlib.ExitStack() as stack:
        file, name = _binary(source, stack)
        size = file.seek(0, os.SEEK_END)
        if not size:
            raise AudioError(f"{name}: the file is empty (0 bytes); copy or record it again.")
        file.seek(0)
        head = file.read(12)
        if head.startswith((b"RIFF", b"FORM")):
            _check_data_size(file, size, "little" if head.startswith(b"RIFF") else "big", name)
        file.seek(0)
        # By its path libsndfile reads without a detour through Python.
        path = isinstance(source, str | os.PathLike) and not isinstance(file, io.BytesIO)
        seen = f"it {'looks like text,' if head.isascii() and min(head) > 0 else 'begins with'} {head!r}"
        try:
            sound = stack.enter_context(sf.SoundFile(_native(cast(str, source)) if path else file))
        except (sf.LibsndfileError, TypeError) as error:  # TypeError: a headerless .raw file
            sound, seen = None, f"{getattr(error, 'error_string', error)} {seen}"
        # A streamed file states no length, or 2**63 - 1: libsndfile gives up on it, FFmpeg reads on. And
        # where libsndfile (1.2) seeks in an mp3, what follows is garbled (bit reservoir).
        if sound and 0 < sound.frames < 1 << 62 and not (seeking and sound.format == "MP3"):
            yield _SoundFileReader(sound, name)
        else:
            file.seek(0)
            yield _AvReader(stack, file, name, seen)


def _native(path: str | os.PathLike[str]) -> str | bytes:
    """A path as the file system has it; soundfile encodes strictly, but a name may hold any bytes."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


def _binary(source: Source, stack: contextlib.ExitStack) -> tuple[BinaryIO, str]:
    """A seekable binary file and what messages call it."""
    if isinstance(source, bytes):
        return io.BytesIO(source), "<bytes>"
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        file = stack.enter_context(_open_path(name))
    else:
        file, name = source, str(getattr(source, "name", "<bytes>"))
    return file if file.seekable() else io.BytesIO(file.read()), name


def _open_path(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except (OSError, ValueError) as error:
        known: dict[type[Exception], str] = {
            FileNotFoundError: f"no such file; check the path (seen from {Path.cwd()})",
            IsADirectoryError: "a folder, where one audio file is wanted; name a file in it",
            PermissionError: "permission denied; make the file readable for this user",
        }
        found = known.get(type(error), f"cannot be opened ({error}); check the path and the disk")
        raise AudioError(f"{name}: {found}.") from error


def _check_data_size(file: BinaryIO, size: int, order: Literal["little", "big"], name: str) -> None:
    """Refuse a wav or aiff with less data than its header states, which libsndfile silently shortens."""
    while len(chunk := file.read(8)) == 8:
        stated, found = int.from_bytes(chunk[4:], order), size - file.tell()
        sound = chunk[:4] in (b"data", b"SSND")
        if sound and found + _HEADER_SLACK < stated < _UNKNOWN_SIZE:
            counts = f"its header promises {stated:,} bytes of sound, {found:,} are there"
            raise TruncatedAudioError(f"{name}: cut short: {counts}; {_COPY_AGAIN}.")
        file.seek(size if sound else file.tell() + stated + stated % 2)


# The two decoders. Positions are in samples at the stored rate; `promised` is a length that a header
# states reliably; pieces are float32 [n, channels].


class _SoundFileReader:
    def __init__(self, sound: sf.SoundFile, name: str) -> None:
        self._sound, self.name = sound, name
        self.sample_rate: int = sound.samplerate
        self.channels: int = sound.channels
        self.promised: int = sound.frames

    def length_s(self) -> float:
        return self.promised / self.sample_rate

    def pieces(self, first: int, stop: int | None) -> Iterator[Waveform]:
        stop = self.promised if stop is None else min(stop, self.promised)
        try:
            if first:
                self._sound.seek(first)
            for at in range(first, stop, _CHUNK):
                yield self._sound.read(min(_CHUNK, stop - at), "float32", always_2d=True)
        except sf.LibsndfileError as error:
            raise TruncatedAudioError(f"{self.name}: damaged or cut short ({error}); {_COPY_AGAIN}.") from error


class _AvReader:
    def __init__(self, stack: contextlib.ExitStack, file: BinaryIO, name: str, seen: str) -> None:
        import av

        self.name = name
        with self._explaining(f"not readable as audio: {seen}", "convert it to wav or flac"):
            # No protocol: a playlist posing as audio must not make FFmpeg open other files or addresses.
            self._container = stack.enter_context(av.open(file, options={"protocol_whitelist": "none"}))
        self._stream = self._container.streams.best("audio")
        if self._stream is None or not self._stream.codec_context or not self._stream.rate:
            found = ", ".join(stream.type for stream in self._container.streams) or "nothing"
            raise AudioError(f"{name}: no audio stream to decode (found: {found}; {seen}); choose a file with sound.")
        self.sample_rate: int = self._stream.rate
        self.channels: int = self._stream.channels
        self._origin = (self._stream.start_time or 0) * self._stream.time_base
        self.promised = self._stated_length()

    @contextlib.contextmanager
    def _explaining(self, seen: str = "damaged or cut short", remedy: str = _COPY_AGAIN) -> Iterator[None]:
        import av

        try:
            yield
        except av.error.FFmpegError as error:
            raise AudioError(f"{self.name}: {seen} ({error.strerror}); {remedy}.") from error

    def _stated_length(self) -> int | None:
        if self._container.format.flags & _GENERIC_INDEX:
            return None
        if self._stream.duration:
            return round(float(self._stream.duration * self._stream.time_base) * self.sample_rate)
        alone = len(self._container.streams) == 1  # else the picture may outlast the sound
        return round((self._container.duration or 0) / 1e6 * self.sample_rate) or None if alone else None

    def length_s(self) -> float:
        if self.promised is not None:
            return self.promised / self.sample_rate
        with self._explaining():
            packets = self._container.demux(self._stream)
            end = max((p.pts + (p.duration or 0) for p in packets if p.pts is not None), default=0)
            self._container.seek(0)
        return max(0.0, float(end * self._stream.time_base - self._origin))

    def pieces(self, first: int, stop: int | None) -> Iterator[Waveform]:
        with self._explaining():
            if first:
                seconds = max(0.0, first / self.sample_rate - _PREROLL_S) + float(self._origin)
                self._container.seek(round(seconds / self._stream.time_base), stream=self._stream)
            yield from _regrouped(self._decoded(first, math.inf if stop is None else stop), _CHUNK)

    def _decoded(self, first: int, stop: float) -> Iterator[Waveform]:
        """Trim to [first, stop) by time stamps; pauses in them become silence, so that times stay right."""
        position = None if first else 0
        for frame in self._container.decode(self._stream):
            if frame.pts is None:
                raise AudioError(f"{self.name}: sound without time stamps; convert it to wav or flac.")
            stamp = round((frame.pts * frame.time_base - self._origin) * self.sample_rate)
            position = stamp if position is None else position
            samples = self._samples(frame)
            if _TOLERANCE_S < (stamp - position) / self.sample_rate < _LONGEST_GAP_S:
                samples = np.concatenate([np.zeros((stamp - position, samples.shape[1]), np.float32), samples])
            yield samples[max(0, first - position) : int(max(0, min(stop - position, len(samples))))]
            position += len(samples)
            if position >= stop:
                return

    def _samples(self, frame: Any) -> Waveform:
        if frame.sample_rate != self.sample_rate:
            rates = f"{self.sample_rate} to {frame.sample_rate} Hz"
            raise AudioError(f"{self.name}: changes from {rates} midway; convert it to wav or flac.")
        array = frame.to_ndarray()  # planar: [channels, n]; packed: [1, n * channels]
        planar = frame.format.is_planar
        return _floats(array.T if planar else array.reshape(-1, len(frame.layout.channels)), self.name)


_Reader = _SoundFileReader | _AvReader
