"""Transcribes recordings of any length; segments of several recordings share a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from speechxfer.ahead import Ahead, side_by_side
from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.data.batching import MOST_PADDING, batches
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import ConfigError
from speechxfer.inference.segmenting import Piece, segments
from speechxfer.inference.stitching import Stitcher
from speechxfer.inference.transcript import Segment, Transcript, text_of
from speechxfer.inference.voice_activity import SOUND, Detector

Recognize = Callable[[Sequence[Waveform]], list[Hypothesis]]
"""Returns one hypothesis for each of a few float32 mono 16 kHz waveforms."""

Open = Callable[[], Iterable[Waveform]]
"""Opens a recording: blocks of float32 mono 16 kHz, each [num_samples] of any length."""

_FIRST_AHEAD_S = 30.0
#: Segments of each recording that a thread has ready.
_READY = 4


@dataclass(frozen=True)
class Settings:
    """How recordings are transcribed.

    Attributes:
        max_segment_s: no segment is longer than this.
        batch_s: the cost of a batch of several segments (`data.batching.cost_s`).
        most_padding: of a batch, as a fraction of it.
        ahead_s: seconds of speech that are read ahead, so that segments of similar length share a batch. The first
            segments come after less.
        computed_s: seconds that are computed for a segment of so many seconds; more where the model pads it.
        detector: finds speech; nothing else is recognized.
        workers: recordings that are read at the same time, in threads, while others are recognized; with 0 each is read
            in between.
    """

    max_segment_s: float = 28.0
    batch_s: float = 110.0
    most_padding: float = MOST_PADDING
    ahead_s: float = 240.0
    computed_s: Callable[[float], float] = float
    detector: Detector = SOUND
    workers: int = 0


Event: TypeAlias = Segment | float | Exception
"""Of a recording: its segments, one after the other, and at last its duration in seconds, or what went wrong."""

Entry: TypeAlias = Piece | float | Exception
"""Of a recording: its pieces, and at last its duration, or what went wrong."""

Window: TypeAlias = list[tuple[int, Entry]]
"""What is read ahead at a time: the number of the recording, counted from 0, and an entry of it."""

Read: TypeAlias = Callable[[Iterable[Open], Settings], Generator[Window, None, None]]
"""Reads recordings, perhaps in other processes."""


def transcribe_many(
    recordings: Iterable[Open],
    recognize: Recognize,
    settings: Settings,
    progress: Callable[[int, float], None] | None = None,
    read: Read | None = None,
) -> Iterator[Transcript | Exception]:
    """Transcribe recordings; no more than `ahead_s` and a segment is in memory.

    Yields, in order, the transcript of each recording, or what was raised when it was read or recognized.

    Args:
        recordings: each is opened when the one before it was read.
        recognize: called with one batch of segments at a time.
        settings: lengths, batches and the detector.
        progress: called with the number of a recording, counted from 0, and the seconds of it done so far.
        read: reads the recordings; None reads them here.

    Raises:
        ConfigError: an option is wrong, which no other recording would change.
    """
    found: list[Segment] = []
    for _, event in events(recordings, recognize, settings, progress, read):
        if isinstance(event, Segment):
            found.append(event)
            continue
        yield event if isinstance(event, Exception) else Transcript(text_of(found), tuple(found), event)
        found = []


def events(
    recordings: Iterable[Open],
    recognize: Recognize,
    settings: Settings,
    progress: Callable[[int, float], None] | None = None,
    read: Read | None = None,
) -> Iterator[tuple[int, Event]]:
    """What is found, as it comes: the number of the recording, counted from 0, and an event of it."""
    run = _Run(recognize, settings, progress or (lambda _index, _seconds: None))
    windows = read(recordings, settings) if read else _Reader(settings, run.failed).windows(recordings)
    with contextlib.closing(Ahead(windows, most=1) if settings.workers and not read else windows) as found:
        for window in found:
            yield from run.results(window)


def windows(recordings: Iterable[Open], settings: Settings) -> Generator[Window, None, None]:
    """What is read of recordings, for those who read them in one process and recognize them in another."""
    return _Reader(settings, set()).windows(recordings)


class _Reader:
    """Reads recordings; of those that are in `failed`, no more."""

    def __init__(self, settings: Settings, failed: set[int]) -> None:
        self._settings = settings
        self._failed = failed

    def windows(self, recordings: Iterable[Open]) -> Generator[Window, None, None]:
        """What is read ahead at a time."""
        window: Window = []
        read_s, ahead_s = 0.0, min(_FIRST_AHEAD_S, self._settings.ahead_s)
        for index, entry in self._entries(recordings):
            window.append((index, entry))
            read_s += entry.duration if isinstance(entry, Piece) else 0.0
            if read_s >= ahead_s:
                yield window
                window, read_s, ahead_s = [], 0.0, min(2 * ahead_s, self._settings.ahead_s)
        yield window

    def _entries(self, recordings: Iterable[Open]) -> Iterator[tuple[int, Entry]]:
        """The entries of all recordings; of one that has failed, no more is read."""
        read: Iterable[Iterator[Entry]] = map(self._read, recordings)
        if self._settings.workers:
            read = side_by_side(read, self._settings.workers, _READY)
        for index, entries in enumerate(read):
            for entry in entries:
                yield index, entry
                if index in self._failed:
                    break

    def _read(self, open_: Open) -> Iterator[Entry]:
        settings = self._settings
        try:
            stream = _Counted(open_())
            yield from segments(stream, max_segment_s=settings.max_segment_s, detector=settings.detector)
            yield stream.duration
        except ConfigError:
            raise
        except Exception as error:
            yield error


class _Run:
    """One call for several recordings; `failed` are those of which no more is needed."""

    def __init__(self, recognize: Recognize, settings: Settings, progress: Callable[[int, float], None]) -> None:
        self._recognize = recognize
        self._settings = settings
        self._progress = progress
        self._stitcher = Stitcher()
        self.failed: set[int] = set()

    def results(self, window: Window) -> Iterator[tuple[int, Event]]:
        """What becomes of some pieces."""
        pieces = [entry for _, entry in window if isinstance(entry, Piece)]
        hypotheses = iter(self._hypotheses(pieces))
        for index, entry in window:
            result = next(hypotheses) if isinstance(entry, Piece) else entry
            if index in self.failed:
                continue
            if isinstance(result, Exception):
                self.failed.add(index)
                self._stitcher = Stitcher()
                yield index, result
            elif isinstance(entry, Piece) and isinstance(result, Hypothesis):
                yield from ((index, segment) for segment in self._stitcher.add(entry, result))
                self._progress(index, entry.end)
            elif isinstance(result, float):
                yield from ((index, segment) for segment in self._stitcher.finish())
                self._progress(index, result)
                yield index, result

    def _hypotheses(self, pieces: Sequence[Piece]) -> list[Hypothesis | Exception]:
        """One for each piece, or what was raised when it was recognized alone."""
        costs = [self._settings.computed_s(piece.duration) for piece in pieces]
        found: dict[int, Hypothesis | Exception] = {}
        todo = batches(range(len(pieces)), costs, self._settings.batch_s, self._settings.most_padding)
        while todo:
            batch = todo.pop()
            try:
                found.update(zip(batch, self._recognize([pieces[index].waveform for index in batch]), strict=True))
                continue
            except ConfigError:
                raise
            except Exception as error:
                if len(batch) == 1:
                    found[batch[0]] = error
                    continue
            # Out of memory, or one of them fails.
            todo += [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return [found[index] for index in range(len(pieces))]


class _Counted:
    """The blocks of a stream; `duration` is the seconds of those that were read."""

    def __init__(self, blocks: Iterable[Waveform]) -> None:
        self._blocks = blocks
        self.duration = 0.0

    def __iter__(self) -> Iterator[Waveform]:
        num_samples = 0
        for block in self._blocks:
            num_samples += len(block)
            self.duration = num_samples / SAMPLE_RATE
            yield block
