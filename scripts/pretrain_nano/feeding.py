"""Batches to pre-train on: cut to one length, so that nothing is padded; a function of seed and step alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import Wav2Vec2Config

from scripts.pretrain_nano.student import field, lead, normalized, num_frames
from scripts.pretrain_nano.targets import HOP, Lesson
from speechxfer.data import batching

#: Longer utterances are cut to this many seconds, somewhere else every time.
_LONGEST_S = 6.0
#: One utterance in so many is never trained on and tells how the run goes.
_HELD_OUT = 50
_NOISY_SHARE = 0.5


@dataclass(frozen=True)
class Batch:
    """What the student gets [batch, samples], and what the teacher made of it [batch, frames, taps, width]."""

    waveforms: Tensor
    taught: Tensor


class Feeder:
    """Cuts batches out of a lesson for a student of a certain shape."""

    def __init__(self, lesson: Lesson, config: Wav2Vec2Config, *, batch_s: float, seed: int) -> None:
        self.lesson, self.config, self.batch_s, self.seed = lesson, config, batch_s, seed
        self.skipped, self.shift = lead(config)
        enough = [index for index in range(len(lesson)) if self._frames(index) > 0]
        self.held_out = [index for index in enough if _chosen(index)]
        self.trained = [index for index in enough if not _chosen(index)]
        self._durations_s = [min(lesson.durations_s[index], _LONGEST_S) for index in self.trained]
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def _frames(self, index: int) -> int:
        return num_frames(self.config, int(self.lesson.places[index, 1]) - self.skipped)

    def steps(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, as places in `trained`."""
        if self._epoch[0] != epoch:
            found = batching.steps(self._durations_s, self.batch_s, seed=self.seed, epoch=epoch)
            self._epoch = (epoch, found)
        return self._epoch[1]

    def batch(self, epoch: int, number: int) -> Batch:
        """A training batch, half of it with noise that the teacher does not hear."""
        chance = np.random.Generator(np.random.SFC64([self.seed, epoch, number]))
        cut = self._cut([self.trained[place] for place in self.steps(epoch)[number]], chance)
        for waveform in cut.waveforms.numpy():
            if chance.random() < _NOISY_SHARE:
                np.add(waveform, self._noise(waveform, chance), out=waveform)
        return Batch(normalized(cut.waveforms), cut.taught)

    def held_out_batches(self, budget_s: float = 300.0) -> list[Batch]:
        """About `budget_s` seconds of what is never trained on, the same every time."""
        chance = np.random.Generator(np.random.SFC64(0))
        durations = {index: min(self.lesson.durations_s[index], _LONGEST_S) for index in self.held_out}
        some = np.cumsum(list(durations.values())) < budget_s
        indices = [index for index, wanted in zip(self.held_out, some, strict=True) if wanted]
        cuts = [self._cut(batch, chance) for batch in batching.batches(indices, durations, self.batch_s)]
        return [Batch(normalized(cut.waveforms), cut.taught) for cut in cuts]

    def _cut(self, indices: Sequence[int], chance: np.random.Generator) -> Batch:
        """Excerpts of one length, that of the shortest, whose frames have the same centers as the teacher's."""
        longest = num_frames(self.config, round(_LONGEST_S * 16_000))
        size = min(longest, *(self._frames(index) for index in indices))
        samples = (size - 1) * HOP + field(self.config)
        waveforms, taught = [], []
        for index in indices:
            start = int(chance.integers(self._frames(index) - size + 1))
            waveforms.append(torch.from_numpy(self.lesson.waveform(index, start * HOP + self.skipped, samples)))
            taught.append(self.lesson.standardized(index, start + self.shift, size))
        return Batch(torch.stack(waveforms), torch.stack(taught))

    def _noise(self, waveform: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """Noise of any color between white and red, or somebody else's voice, 5 to 30 dB below the speech."""
        size = len(waveform)
        if chance.random() < 0.5:
            spectrum = np.fft.rfft(chance.standard_normal(size, dtype=np.float32))
            spectrum /= np.maximum(np.arange(len(spectrum)), 1.0) ** chance.uniform(0.0, 1.0)
            noise = np.fft.irfft(spectrum, size).astype(np.float32)
        else:
            other = self.trained[int(chance.integers(len(self.trained)))]
            noise = np.resize(self.lesson.waveform(other, 0, int(self.lesson.places[other, 1])), size)
        ratio = 10.0 ** (-chance.uniform(5.0, 30.0) / 20.0)
        quieter: np.ndarray = noise * (ratio * float(waveform.std()) / (float(noise.std()) + 1e-6))
        return quieter


def _chosen(index: int) -> bool:
    return hashlib.sha256(str(index).encode()).digest()[0] % _HELD_OUT == 0
