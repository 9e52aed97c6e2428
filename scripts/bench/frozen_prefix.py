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
        _compute(encoder, waveforms, seam, batch_s)  # kernels are chosen for each length
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            _compute(encoder, waveforms, seam, batch_s)
            times.append(time.perf_counter() - started)
        seconds = statistics.median(times)
        found[name] = {
            "seconds": round(seconds, 3),
            "times_real_time": round(audio_s / seconds, 1),
            "rounds_s": [round(value, 3) for value in times],
        }
    settings = {"utterances": len(waveforms), "audio_s": round(audio_s, 1), "batch_s": batch_s, "layers": encoder.depth}
    figures = {"device": device, "parts": found, "peak_memory_gb": peak_memory_gb()}
    return {**settings, **figures, "machine": describe(), "command": command()}


@torch.no_grad()
def _compute(encoder: Encoder, waveforms: Sequence[np.ndarray], seam: int, batch_s: float) -> None:
    device = next(encoder.parameters()).device
    lengths = [len(waveform) / _SAMPLE_RATE for waveform in waveforms]
    kept = []
    with torch.autocast(device.type, torch.bfloat16):
        for batch in batches(range(len(lengths)), lengths, batch_s):
            inputs, num_samples = encoder.collate([waveforms[index] for index in batch])
            states, frames = encoder.frontend(inputs.to(device), num_samples.to(device))
            kept.append(encoder.run(states, frames, 0, seam).half().cpu())
