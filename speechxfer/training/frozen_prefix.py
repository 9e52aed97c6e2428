"""What stands below the seam: computed once and kept, or computed for every batch where it is trained.

Both answer `batch(indices, epoch)` with hidden states at the seam, so the loop does not ask which it has.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from soxr import resample
from torch import Tensor

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.batching import by_length
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.base import Encoder
from speechxfer.progress import Progress

#: Seconds of audio computed together where nothing is remembered for a gradient.
_BATCH_S = 30.0
#: Speeds of the copies of the training audio, in the order they are added.
SPEEDS = (1.0, 0.9, 1.1, 0.95, 1.05)


class Inputs(Protocol):
    """Utterances as hidden states at a cut of the encoder."""

    #: The cut the hidden states stand at.
    cut: int

    def durations_s(self, epoch: int) -> list[float]:
        """Seconds of each utterance in this epoch."""

    def batch(self, indices: Sequence[int], epoch: int) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, frames, width] and number of frames [batch], on the encoder's device."""


class _Speeds:
    """Which copy of an utterance is heard in which epoch: any, by a chance that can be repeated."""

    def __init__(self, manifest: Manifest, encoder: Encoder, copies: int, seed: int) -> None:
        self._manifest = manifest
        self._seed = seed
        self._durations = durations_s(manifest, encoder.max_duration_s)
        longest = encoder.max_duration_s or math.inf
        #: Of each utterance; slowed down, a long one may be more than the encoder takes.
        self.speeds = [
            [speed for speed in SPEEDS[: copies + 1] if duration / speed <= longest or speed == 1.0]
            for duration in self._durations
        ]

    def choice(self, index: int, epoch: int) -> float:
        return random.Random(f"{self._seed}/{epoch}/{index}").choice(self.speeds[index])

    def duration_s(self, index: int, speed: float) -> float:
        return self._durations[index] / speed

    def waveform(self, index: int, speed: float) -> np.ndarray:
        waveform = read(self._manifest[index])
        return waveform if speed == 1.0 else resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE)


class FrozenPrefix:
    """Hidden states at the seam, computed once for every utterance and speed and kept in memory."""

    def __init__(
        self,
        encoder: Encoder,
        seam: int,
        manifest: Manifest,
        *,
        copies: int,
        seed: int,
        progress: Progress,
        name: str,
    ) -> None:
        self.cut = seam
        self._speeds = _Speeds(manifest, encoder, copies, seed)
        self._device = next(encoder.parameters()).device
        self._kept: dict[tuple[int, float], tuple[Tensor, int]] = {}
        keys = [(index, speed) for index, speeds in enumerate(self._speeds.speeds) for speed in speeds]
        lengths = [self._speeds.duration_s(*key) for key in keys]
        with progress.task(f"frozen layers, {name}", sum(lengths)) as advance:
            for batch in by_length([encoder.computed_s(length) for length in lengths], _BATCH_S):
                self._compute(encoder, [keys[number] for number in batch])
                advance(sum(lengths[number] for number in batch))

    @torch.no_grad()
    def _compute(self, encoder: Encoder, keys: Sequence[tuple[int, float]]) -> None:
        waveforms, num_samples = encoder.collate([self._speeds.waveform(*key) for key in keys])
        hidden_states, num_frames = encoder.frontend(waveforms.to(self._device), num_samples.to(self._device))
        hidden_states = encoder.run(hidden_states, num_frames, 0, self.cut)
        for key, states, count in zip(keys, hidden_states.cpu(), num_frames.tolist(), strict=True):
            # What an encoder computes beyond the utterance (silence up to 30 s) belongs to its input.
            size = states.shape[0] if encoder.fixed_length else count
            self._kept[key] = states[:size].clone(), count

    def durations_s(self, epoch: int) -> list[float]:
        """Seconds of the copies heard in this epoch."""
        return _heard_s(self._speeds, epoch)

    def batch(self, indices: Sequence[int], epoch: int) -> tuple[Tensor, Tensor]:
        """From memory."""
        kept = [self._kept[index, self._speeds.choice(index, epoch)] for index in indices]
        hidden_states = torch.nn.utils.rnn.pad_sequence([states for states, _ in kept], batch_first=True)
        num_frames = torch.tensor([count for _, count in kept], dtype=torch.int64)
        return hidden_states.to(self._device), num_frames.to(self._device)


class LivePrefix:
    """Hidden states at cut 0, computed for every batch: the front end is trained, or memory is short."""

    cut = 0

    def __init__(self, encoder: Encoder, manifest: Manifest, *, copies: int, seed: int) -> None:
        self._encoder = encoder
        self._speeds = _Speeds(manifest, encoder, copies, seed)

    def durations_s(self, epoch: int) -> list[float]:
        """Seconds of the copies heard in this epoch."""
        return _heard_s(self._speeds, epoch)

    def batch(self, indices: Sequence[int], epoch: int) -> tuple[Tensor, Tensor]:
        """Decoded and run through the front end, with a gradient where it is trained."""
        waveforms = [self._speeds.waveform(index, self._speeds.choice(index, epoch)) for index in indices]
        inputs, num_samples = self._encoder.collate(waveforms)
        device = next(self._encoder.parameters()).device
        hidden_states, num_frames = self._encoder.frontend(inputs.to(device), num_samples.to(device))
        return hidden_states, num_frames


def prepare(
    encoder: Encoder,
    seam: int | None,
    manifest: Manifest,
    *,
    copies: int,
    seed: int,
    progress: Progress,
    name: str,
) -> Inputs:
    """Keep what is frozen where there is something frozen and room for it, else compute it every time.

    Raises:
        DataError: unreadable audio, or longer than the encoder takes.
    """
    if seam is None:
        return LivePrefix(encoder, manifest, copies=copies, seed=seed)
    seconds = sum(encoder.computed_s(length) for length in durations_s(manifest, encoder.max_duration_s))
    needed = seconds * (copies + 1) * encoder.frame_rate * encoder.width * 4
    if needed > 0.5 * _free_memory():
        progress.say(
            f"the frozen layers' output of {name} would take {needed / 2**30:.1f} GB, more than half of the free "
            "memory; computing it anew in every epoch"
        )
        return LivePrefix(encoder, manifest, copies=copies, seed=seed)
    return FrozenPrefix(encoder, seam, manifest, copies=copies, seed=seed, progress=progress, name=name)


def _heard_s(speeds: _Speeds, epoch: int) -> list[float]:
    return [speeds.duration_s(index, speeds.choice(index, epoch)) for index in range(len(speeds.speeds))]


def _free_memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
