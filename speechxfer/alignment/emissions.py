"""What a CTC model makes of a recording of any length: probabilities of symbols for frames, kept on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.inference.segmenting import batches, segments
from speechxfer.inference.silence import HOP
from speechxfer.predictor import Predictor

_BATCH_S = 60.0
_SEGMENT_S = 28.0
#: Of a symbol where there is silence, in natural logarithms.
_IMPOSSIBLE = -30.0
_QUIETEST_POWER = 1e-10


class Emissions:
    """Natural logarithms of the probabilities of some symbols, frame by frame.

    Long silence has no frames but one, which only a blank can be. Memory holds 25 bytes for each frame.

    Its file is there until the end of the `with` that it stands in.

    Args:
        columns: the symbols whose probabilities are kept, the blank (0) among them.
        frame_s: seconds of a frame.

    Attributes:
        columns: as given.
        frame_s: as given.
        starts: [frames] when each begins, in seconds.
        best: [frames] the largest logarithm.
        path: [frames] its symbol.
        levels: [ceil(num_samples / HOP)] the level of each 10 ms, in dB of full scale.
        duration: of the recording, in seconds.
    """

    def __init__(self, columns: Sequence[int], frame_s: float) -> None:
        self.columns = np.array(columns, dtype=np.int64)
        self.frame_s = frame_s
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        self._starts: list[NDArray[np.floating[Any]]] = []
        self._best: list[NDArray[np.float32]] = []
        self._path: list[NDArray[np.int32]] = []
        self._until = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def append(self, start: float, log_probabilities: NDArray[np.float32]) -> None:
        """Add the frames [frames, symbols] of a segment that begins at so many seconds, after those before it."""
        if start > self._until + 2 * self.frame_s:
            silence = np.full((1, log_probabilities.shape[1]), _IMPOSSIBLE, np.float32)
            silence[:, 0] = 0.0
            self._add(np.array([self._until]), silence)
        times = start + np.arange(len(log_probabilities), dtype=np.float64) * self.frame_s
        self._add(times, log_probabilities)
        self._until = float(times[-1]) + self.frame_s if len(times) else self._until

    def _add(self, times: NDArray[np.floating[Any]], rows: NDArray[np.float32]) -> None:
        self._starts.append(times)
        self._best.append(rows.max(axis=1))
        self._path.append(rows.argmax(axis=1).astype(np.int32))
        self._file.write(np.ascontiguousarray(rows[:, self.columns], dtype=np.float32).data)

    def finish(self, levels: NDArray[np.float32], duration: float) -> None:
        """Close the list of frames."""
        self.levels, self.duration = levels, duration
        self.starts = np.concatenate([*self._starts, np.zeros(0)])
        self.best = np.concatenate([*self._best, np.zeros(0, np.float32)])
        self.path = np.concatenate([*self._path, np.zeros(0, np.int32)])
        self._starts, self._best, self._path = [], [], []

    def __len__(self) -> int:
        return len(self.starts)

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """[stop - start, columns] the logarithms of frames from `start` to `stop`."""
        width = len(self.columns)
        self._file.seek(4 * width * start)
        found = np.frombuffer(self._file.read(4 * width * (stop - start)), np.float32)
        return found.reshape(-1, width)


def fill(
    emissions: Emissions,
    model: Predictor,
    blocks: Iterable[Waveform],
    progress: Callable[[float], None] = lambda _seconds: None,
) -> None:
    """Fill emissions with those of a stream of samples; no more than a batch of segments of it is in memory.

    Args:
        emissions: without frames yet.
        model: with a CTC head.
        blocks: float32 mono 16 kHz, each [num_samples] of any length.
        progress: called with the seconds of each segment that is done.

    Raises:
        ConfigError: the model has no CTC head.
    """
    meter = _Meter(blocks)
    longest = min(_SEGMENT_S, model.max_duration_s or _SEGMENT_S)
    for batch in batches(segments(meter, max_segment_s=longest, overlapping=False), _BATCH_S, model.computed_s):
        rows = model.frame_log_probabilities([piece.waveform for piece in batch])
        for piece, row in zip(batch, rows, strict=True):
            emissions.append(piece.start, row)
            progress(piece.duration)
    emissions.finish(meter.levels(), meter.samples / SAMPLE_RATE)


class _Meter:
    """The blocks of a stream, whose levels are measured while they pass."""

    def __init__(self, blocks: Iterable[Waveform]) -> None:
        self._blocks = blocks
        self._powers: list[NDArray[np.float32]] = []
        self.samples = 0

    def __iter__(self) -> Iterator[Waveform]:
        rest = np.zeros(0, np.float32)
        for block in self._blocks:
            self.samples += len(block)
            yield block
            rest = np.concatenate([rest, block])
            whole = len(rest) // HOP * HOP
            self._powers.append(np.var(rest[:whole].reshape(-1, HOP), axis=1))
            rest = rest[whole:]
        if len(rest):
            self._powers.append(np.var(rest, keepdims=True))

    def levels(self) -> NDArray[np.float32]:
        powers = np.concatenate([*self._powers, np.zeros(0, np.float32)])
        found: NDArray[np.float32] = 10 * np.log10(np.maximum(powers, _QUIETEST_POWER))
        return found
