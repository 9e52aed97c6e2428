"""Speed of what a run computes once for its frozen layers: waveforms in memory to hidden states in memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import speechxfer as sx
from scripts.bench.machine import command, describe, peak_memory_gb
from speechxfer.data.batching import batches
from speechxfer.data.loading import read
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.opening import open_checkpoint
from speechxfer.training.frozen_cache import States
from speechxfer.training.frozen_pass import FrozenPass
from speechxfer.training.inputs import Key, LiveInputs, Loaded

_SAMPLE_RATE = 16_000


def measure(model: str, manifest: str, *, device: str, batch_s: float, rounds: int) -> dict[str, Any]:
    """Seconds and real-time factors of all layers, and of those below the top two, in bfloat16.

    Args:
        model: a folder with an encoder.
        manifest: what is computed.
        device: "cpu" or "cuda".
        batch_s: seconds of audio in one batch.
        rounds: of which the median is taken.
    """
    encoder = open_checkpoint(find(model)).encoder.to(device).eval()
    waveforms = [read(utterance) for utterance in sx.Manifest.read(manifest)]
    audio_s = sum(map(len, waveforms)) / _SAMPLE_RATE
    found = {}
    for name, seam in (("all layers", encoder.depth), ("below the top two layers", encoder.depth - 2)):
        times = [_compute(encoder, waveforms, seam, batch_s) for _ in range(rounds + 1)]
        seconds = statistics.median(times[1:])
        found[name] = {
            "seconds": round(seconds, 3),
            "times_real_time": round(audio_s / seconds, 1),
            "rounds_s": [round(value, 3) for value in times[1:]],
            # Kernels are loaded, and chosen for each length.
            "first_s": round(times[0], 3),
        }
    settings = {"utterances": len(waveforms), "audio_s": round(audio_s, 1), "batch_s": batch_s, "layers": encoder.depth}
    figures = {"device": device, "parts": found, "peak_memory_gb": peak_memory_gb()}
    return {**settings, **figures, "machine": describe(), "command": command()}


class _Waveforms(LiveInputs):
    """Waveforms in memory in place of files."""

    def __init__(self, encoder: Encoder, seam: int, waveforms: Sequence[np.ndarray]) -> None:
        self._encoder, self._waveforms, self._frozen = encoder, waveforms, True
        self.seam = seam

    def computed_by(self, encoder: Encoder) -> _Waveforms:
        return _Waveforms(encoder, self.seam, self._waveforms)

    def load_copies(self, keys: Sequence[Key]) -> Loaded:
        values, num_samples = self._encoder.collate([self._waveforms[index] for index, _ in keys])
        return Loaded(values, num_samples, self._encoder.num_frames(num_samples))


def _compute(encoder: Encoder, waveforms: Sequence[np.ndarray], seam: int, batch_s: float) -> float:
    """Seconds that it takes."""
    inputs = _Waveforms(encoder, seam, waveforms)
    frozen = FrozenPass(inputs, encoder, seam, precision=torch.bfloat16, cache_dtype="float16")
    lengths = [len(waveform) / _SAMPLE_RATE for waveform in waveforms]
    found = batches(range(len(lengths)), lengths, batch_s)
    started = time.perf_counter()
    kept = dict[Key, States]()
    for _, states in frozen([(index, 1.0) for index in batch] for batch in found):
        kept |= dict(states)
    return time.perf_counter() - started
