"""Files as mono float32 at 16 kHz, whole, in part, or block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from speechxfer.audio import mixing
from speechxfer.audio.completeness import completed, judge
from speechxfer.audio.opening import Source, opened
from speechxfer.audio.options import Choice, Notice, Options
from speechxfer.audio.pieces import SAMPLE_RATE, Piece, Reader, Waveform, trimmed
from speechxfer.audio.resampling import at_16_khz
from speechxfer.errors import AudioError
from speechxfer.sources import AudioSource

#: More silence than this between sounds is not put into one array.
_MOST_SILENCE_S = 3600.0


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file holds: `duration` in seconds, `sample_rate` in Hz as stored, `channels`."""

    duration: float
    sample_rate: int
    channels: int


def info(source: Source, **options: Unpack[Options]) -> AudioInfo:
    """Duration, sample rate and channels, without decoding more than the first packet; of an `AudioSource`, once.

    Where a header does not state the duration reliably, the packets are counted. Rate and channels are those of the
    first sound, should they change.

    Args:
        source: path, bytes or open binary file.
        options: see `Options`.

    Raises:
        AudioError: there is no such file, or it holds no audio.
        TruncatedAudioError: it is visibly cut short.
    """
    choice = Choice(**options)
    question = (choice.stream, choice.strict)
    known = source.once(question, lambda: _header(source, choice)) if isinstance(source, AudioSource) else None
    header = known or _header(source, choice)
    for notice in header.notices:
        choice.notify(notice)
    if isinstance(header.found, AudioError):
        raise type(header.found)(*header.found.args) from header.found
    return header.found


@dataclass(frozen=True, slots=True)
class _Header:
    """What a header says, or why it cannot be read, with what was noticed."""

    found: AudioInfo | AudioError
    notices: tuple[Notice, ...]


def _header(source: Source, choice: Choice) -> _Header:
    notices: list[Notice] = []
    choice = replace(choice, notify=notices.append)
    found: AudioInfo | AudioError
    try:
        with opened(source, choice) as reader:
            length_s = reader.length_s()
            judge(reader, 0.0, length_s, None, choice)
            found = AudioInfo(length_s, reader.rate, reader.channels)
    except AudioError as error:
        found = error.with_traceback(None)
    return _Header(found, tuple(notices))


def load(source: Source, *, start: float = 0.0, duration: float | None = None, **options: Unpack[Options]) -> Waveform:
    """The sound of a file, or an excerpt of it reached by seeking.

    Args:
        source: path, bytes or open binary file.
        start: where the excerpt begins, in seconds of the file.
        duration: its length in seconds; None reads to the end.
        options: see `Options`.

    Returns:
        float32 [num_samples], mono, 16 kHz. At a stored rate of 16 kHz an excerpt has exactly
        `round(duration * 16000)` samples, unless the file ends before.

    Raises:
        AudioError: missing, empty or damaged files, NaN samples, excerpts outside the file, pauses over an hour.
        TruncatedAudioError: files that lack more than a little of what their header promises.
    """
    return np.concatenate(list(_stream(source, start, duration, Choice(**options), _MOST_SILENCE_S)))


def blocks(
    source: Source, *, start: float = 0.0, duration: float | None = None, block_s: float = 30.0,
    **options: Unpack[Options],
) -> Iterator[Waveform]:  # fmt: skip
    """The same samples as `load` gives, in blocks of `block_s` seconds (the last may be shorter).

    Memory stays flat however long the file is; errors arise while iterating.

    Raises:
        AudioError: as for `load`, but for long pauses.
    """
    if not SAMPLE_RATE * block_s >= 1:
        raise AudioError(f"block_s is {block_s}; blocks need a length in seconds above 0.")
    return _regrouped(_stream(source, start, duration, Choice(**options), math.inf), round(block_s * SAMPLE_RATE))


def as_stored(
    source: Source, *, start: float = 0.0, duration: float | None = None, **options: Unpack[Options]
) -> Iterator[tuple[int, Waveform]]:
    """What a file holds, neither mixed nor resampled, for those who judge recordings rather than use them.

    Yields:
        The sample rate in Hz and a piece of the sound, float32 [num_samples, channels]; not looked through for NaN, and
        without the silence of pauses.

    Raises:
        AudioError: as for `load`, while iterating.
    """
    choice = Choice(**options)
    with opened(source, choice) as reader:
        first_s, stop_s = _span(reader, start, duration)
        pieces = trimmed(reader.pieces(first_s, stop_s), first_s, stop_s)
        if choice.channel is not None:
            pieces = mixing.channel(pieces, choice.channel, reader.name, reader.channels)
        for piece in completed(pieces, reader, first_s, stop_s, choice):
            yield int(piece.rate), piece.samples


def _stream(
    source: Source, start: float, duration: float | None, choice: Choice, most_silence_s: float
) -> Iterator[Waveform]:
    with opened(source, choice) as reader:
        first_s, stop_s = _span(reader, start, duration)
        pieces = trimmed(_mono(reader, first_s, stop_s, choice), first_s, stop_s)
        whole = completed(pieces, reader, first_s, stop_s, choice)
        yield from at_16_khz(whole, reader.name, first_s=first_s, most_silence_s=most_silence_s)


def _mono(reader: Reader, first_s: float, stop_s: float | None, choice: Choice) -> Iterator[Piece]:
    if choice.channel is not None:
        return mixing.channel(reader.pieces(first_s, stop_s), choice.channel, reader.name, reader.channels)
    if reader.channels > 1:
        first_s, stop_s = mixing.widened(first_s, stop_s)
    return mixing.mixed(reader.pieces(first_s, stop_s))


def _span(reader: Reader, start: float, duration: float | None) -> tuple[float, float | None]:
    """An excerpt from and to times in seconds that are whole samples at the stored rate."""
    if not 0 <= start < math.inf or not (duration is None or 0 < duration < math.inf):
        wanted = "start must be at least 0 and duration above 0 (or absent, to read to the end)"
        raise AudioError(f"{reader.name}: an excerpt from {start} s for {duration} s; {wanted}.")
    first = round(start * reader.rate)
    if duration is None:
        return first / reader.rate, None
    count = round(duration * reader.rate)
    if not count:
        raise AudioError(f"{reader.name}: an excerpt of {duration} s holds no samples at {reader.rate} Hz.")
    return first / reader.rate, (first + count) / reader.rate


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
