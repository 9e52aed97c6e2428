"""What stands below the seam: computed once and kept, or computed for every batch.

Both kinds answer in the same two steps, `load` (on the CPU, perhaps ahead of time) and `at_seam` (on the device), so
the loop does not ask which it has. What each keeps or computes is the same to the precision it is stored in.
"""

from __future__ import annotations

import copy
import math
import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from soxr import resample
from torch import Tensor

from speechxfer.audio import SAMPLE_RATE
from speechxfer.config import AugmentConfig
from speechxfer.data.augment import Distortion, FrameMask, distortion
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.data.non_speech import Margins, surrounded
from speechxfer.encoders.base import Encoder
from speechxfer.errors import AudioError
from speechxfer.progress import Progress
from speechxfer.training.distributed import World
from speechxfer.training.frozen_cache import States

#: Speeds of the copies of the training audio, in the order they are added.
SPEEDS = (1.0, 0.9, 1.1, 0.95, 1.05)

#: Threads that read audio files beside a GPU.
_MOST_READERS = 8

#: A copy of an utterance: its index and speed.
Key = tuple[int, float]


class Copies:
    """Utterances at several speeds; the copy used in an epoch is drawn by a seed, so that it can be drawn again.

    Args:
        manifest: the utterances.
        encoder: which they are for.
        speed_copies: how many there are of each at other speeds.
        seed: of the draws.
        progress: what is noticed on reading is reported there.
        margin_s: most seconds of other sound before and after a copy at another speed.
    """

    def __init__(
        self, manifest: Manifest, encoder: Encoder, speed_copies: int, seed: int, progress: Progress | None = None, *,
        margin_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.manifest = manifest
        self._progress = progress
        self.seed = seed
        #: Utterances whose files turned out not to be readable, from which nothing is learned: index and reason.
        self.unreadable: dict[int, str] = {}
        self._num_reported = 0
        self._encoder, self._margin_s = encoder, margin_s
        self._durations = durations_s(manifest, encoder.max_duration_s)
        longest = encoder.max_duration_s or math.inf
        # Slowed down, a long one may be more than the encoder takes.
        self._speeds = [
            [1.0, *(one for one in SPEEDS[1 : speed_copies + 1] if duration / one + 2 * margin_s <= longest)]
            for duration in self._durations
        ]

    @property
    def keys(self) -> list[Key]:
        """All copies that can be read, as (index, speed)."""
        readable = ((index, speeds) for index, speeds in enumerate(self._speeds) if index not in self.unreadable)
        return [(index, speed) for index, speeds in readable for speed in speeds]

    def used_in(self, epoch: int, index: int) -> Key:
        """The copy of an utterance that is used in an epoch."""
        speeds = self._speeds[index]
        generator = random.Random(f"{self.seed}/{epoch}/{index}") if len(speeds) > 1 else None
        return index, generator.choice(speeds) if generator else speeds[0]

    def duration_s(self, key: Key) -> float:
        """Seconds of a copy."""
        margins = self.margins(key)
        return self._durations[key[0]] / key[1] + (margins.before_s + margins.after_s if margins else 0.0)

    def margins(self, key: Key) -> Margins | None:
        """What is added to a copy, the same whatever else is in the manifest; None for nothing."""
        index, speed = key
        if speed == 1.0 or not self._margin_s:
            return None
        utterance = self.manifest[index]
        generator = random.Random(f"{utterance.audio}/{utterance.start}/{speed}")
        before_s, after_s = (generator.uniform(0, self._margin_s) for _ in range(2))
        return Margins(before_s, after_s, generator.randrange(2**31))

    def computed_s(self, key: Key) -> float:
        """Seconds that an encoder computes for a copy."""
        return self._encoder.computed_s(self.duration_s(key))

    def waveforms(self, keys: Sequence[Key]) -> list[np.ndarray]:
        """Samples of copies, read by several threads where there are cores to spare."""
        threads = min(_MOST_READERS, (os.cpu_count() or 1) // 2, len(keys))
        if threads < 2:
            return list(map(self._waveform, keys))
        with ThreadPoolExecutor(threads) as readers:
            return list(readers.map(self._waveform, keys))

    def _waveform(self, key: Key) -> np.ndarray:
        waveform = read(self.manifest[key[0]], self._progress)
        if key[1] != 1.0:
            waveform = resample(waveform, SAMPLE_RATE * key[1], SAMPLE_RATE)
        margins = self.margins(key)
        return waveform if margins is None else surrounded(waveform, margins)

    def is_readable(self, index: int) -> bool:
        """Try to read an utterance; one that cannot be read is noted."""
        if index not in self.unreadable:
            try:
                read(self.manifest[index], self._progress)
            except AudioError as error:
                if self.manifest[index].strict:
                    raise
                self.unreadable[index] = str(error).rstrip(".")
        return index not in self.unreadable

    def moved(self, encoder: Encoder) -> Copies:
        """The same copies for the same encoder elsewhere, where nothing is known to be unreadable yet."""
        moved = copy.copy(self)
        moved.manifest = self.manifest.holding([one.located() for one in self.manifest])
        moved.unreadable, moved._encoder, moved._progress = {}, encoder, None
        return moved

    def report_to(self, progress: Progress) -> None:
        """From now on, warnings go there."""
        self._progress = progress

    def report_unreadable(self, world: World, progress: Progress) -> None:
        """Collect what any process could not read, and report it where there is more than before."""
        for some in world.gather({world.rank: self.unreadable}).values():
            self.unreadable |= some
        if len(self.unreadable) > self._num_reported:
            self._num_reported = len(self.unreadable)
            progress.log(f"{self._num_reported} of {len(self.manifest)} training utterances {self.first_unreadable}")

    @property
    def first_unreadable(self) -> str:
        """In words, for a message."""
        return f"cannot be read and are not used; the first is {self.unreadable[min(self.unreadable)]}"


@dataclass(frozen=True)
class Loaded:
    """Utterances on their way to the seam: waveforms [batch, samples] or hidden states [batch, frames, width]."""

    values: Tensor
    #: Samples or frames of each [batch], on the device.
    lengths: Tensor
    #: Frames of each at layer index 0 [batch]; stays on the CPU, where reading it makes no GPU wait.
    num_frames: Tensor
    #: What becomes of the spectrograms of waveforms on the way.
    distortion: Distortion | None = None

    def pinned(self) -> Loaded:
        """In memory from which a GPU copies by itself."""
        return replace(self, values=self.values.pin_memory(), lengths=self.lengths.pin_memory())

    def to(self, device: torch.device) -> Loaded:
        """On the device, copied beside the computation where that is possible."""
        if device.type == "cpu":
            return self
        values, lengths = (tensor.pin_memory().to(device, non_blocking=True) for tensor in (self.values, self.lengths))
        return replace(self, values=values, lengths=lengths)


class Inputs(Protocol):
    """Utterances as hidden states at a layer index of the encoder."""

    copies: Copies
    seam: int
    #: What is done to spectrograms; None where there is nothing to be done below the seam.
    augment: AugmentConfig | None

    def load(self, indices: Sequence[int], epoch: int) -> Loaded:
        """What `at_seam` takes of the copies used in an epoch, on the CPU."""

    def at_seam(self, loaded: Loaded) -> Tensor:
        """Hidden states [batch, frames, width] at the seam, in float32 unless autocast, on `loaded`'s device."""


class Computable(Inputs, Protocol):
    """Inputs of which copies can be chosen, whatever the epoch."""

    def load_copies(self, keys: Sequence[Key]) -> Loaded:
        """What `at_seam` takes of these copies, on the CPU, without distortions."""

    def computed_by(self, encoder: Encoder) -> Computable:
        """The same with another encoder, where they are computed."""


class LiveInputs:
    """Computed for every batch; with a gradient where even the front end is trained (`seam` None).

    `augment` counts where it is one of spectrograms.
    """

    def __init__(
        self, encoder: Encoder, seam: int | None, copies: Copies, augment: AugmentConfig | None = None
    ) -> None:
        self._encoder = encoder
        self._frozen = seam is not None
        self.copies = copies
        self.seam = seam or 0
        self.augment = augment if augment and augment.where == "spectrogram" else None

    def load(self, indices: Sequence[int], epoch: int) -> Loaded:
        """Decoded waveforms."""
        loaded = self.load_copies([self.copies.used_in(epoch, index) for index in indices])
        if self.augment is None:
            return loaded
        seeds = [(self.copies.seed, epoch, index) for index in indices]
        steps, bins = self._encoder.num_steps(loaded.lengths), self._encoder.mel_bands
        return replace(loaded, distortion=distortion(seeds, steps, bins, self.augment))

    def load_copies(self, keys: Sequence[Key]) -> Loaded:
        """Decoded waveforms."""
        values, num_samples = self._encoder.collate(self.copies.waveforms(keys))
        return Loaded(values, num_samples, self._encoder.num_frames(num_samples))

    def computed_by(self, encoder: Encoder) -> LiveInputs:
        """With the front end and the frozen layers of another encoder."""
        return LiveInputs(encoder, self.seam if self._frozen else None, self.copies, self.augment)

    def at_seam(self, loaded: Loaded) -> Tensor:
        """Through the front end and the frozen layers."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
            hidden_states, num_frames = self._encoder.frontend(loaded.values, loaded.lengths, loaded.distortion)
            return self._encoder.run(hidden_states, num_frames, 0, self.seam)


class CachedInputs:
    """Read from memory or from mapped files."""

    augment: AugmentConfig | None = None

    def __init__(self, copies: Copies, seam: int, kept: dict[Key, States], *, on_disk: bool) -> None:
        self.copies = copies
        self.seam = seam
        self.on_disk = on_disk
        #: What is kept of every copy.
        self.kept = kept

    def load(self, indices: Sequence[int], epoch: int) -> Loaded:
        """The copies used in this epoch."""
        return self.load_copies([self.copies.used_in(epoch, index) for index in indices])

    def load_copies(self, keys: Sequence[Key]) -> Loaded:
        """These copies."""
        return collate([self.kept[key] for key in keys])

    def computed_by(self, encoder: Encoder) -> Self:
        """They have been computed."""
        return self

    def at_seam(self, loaded: Loaded) -> Tensor:
        """As they are, but in float32."""
        return loaded.values.float()


def encoded(encoder: Encoder, inputs: Inputs, loaded: Loaded, mask: FrameMask | None = None) -> tuple[Tensor, Tensor]:
    """Hidden states [batch, frames, width] at the top of the encoder, and the number of frames of each [batch].

    Args:
        mask: of hidden states at the seam.
    """
    hidden_states = inputs.at_seam(loaded)
    if mask is not None:
        hidden_states = mask(hidden_states)
    hidden_states = encoder.run(hidden_states, loaded.num_frames, inputs.seam, encoder.depth)
    return hidden_states, encoder.output_frames(loaded.num_frames)


def collate(states: Sequence[States]) -> Loaded:
    """Hidden states of several utterances, zero-padded; in the precision they have in common, or float32."""
    dtypes = {item.hidden_states.dtype for item in states}
    size = max(len(item.hidden_states) for item in states)
    width = states[0].hidden_states.shape[1]
    values = torch.zeros(len(states), size, width, dtype=dtypes.pop() if len(dtypes) == 1 else torch.float32)
    for row, item in zip(values, states, strict=True):
        row[: len(item.hidden_states)] = item.hidden_states
    num_frames = torch.tensor([item.num_frames for item in states], dtype=torch.int64)
    return Loaded(values, num_frames, num_frames)
