"""Speed of greedy CTC recognition: our model against `transformers`' pipeline, from waveforms in memory to text."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import speechxfer as sx
from scripts.bench.machine import command, describe
from speechxfer.data.batching import batches
from speechxfer.data.loading import read

_SAMPLE_RATE = 16_000


def measure(
    model: Path, base: Path, manifest: str, work: Path, *, device: str, batch_s: float, rounds: int
) -> dict[str, Any]:
    """Seconds and real-time factors of both sides, by turns, in float32 and, on a GPU, in bfloat16.

    Args:
        model: a folder of ours; the pipeline gets an encoder of the same size from `base`.
        base: a wav2vec2 folder as `transformers` saves it.
        manifest: what is recognized.
        work: folder for the pipeline's vocabulary.
        device: "cpu" or "cuda".
        batch_s: seconds of audio in one batch of ours.
        rounds: of which the median is taken.
    """
    # Longest first on both sides: neighbors are of like length, and memory is tried out at once.
    waveforms = sorted((read(utterance) for utterance in sx.Manifest.read(manifest)), key=len, reverse=True)
    audio_s = sum(map(len, waveforms)) / _SAMPLE_RATE
    found: dict[str, Any] = {}
    for name, dtype in [("float32", torch.float32), *([("bfloat16", torch.bfloat16)] if device != "cpu" else [])]:
        runs = {
            "ours": _ours(model, device, name, batch_s),
            "pipeline": _pipeline(base, work, device, dtype, workers=0),
            "pipeline, 1 worker": _pipeline(base, work, device, dtype, workers=1),
        }
        for run in runs.values():
            run(waveforms[:64])
        times: dict[str, list[float]] = {side: [] for side in runs}
        peaks = {}
        for _ in range(rounds):
            for side, run in runs.items():
                seconds, peaks[side] = _timed(run, waveforms)
                times[side].append(seconds)
        middle = {side: statistics.median(values) for side, values in times.items()}
        best = min((side for side in runs if side != "ours"), key=middle.__getitem__)
        found[name] = {
            "ours_s": round(middle["ours"], 3),
            "peer_s": round(middle[best], 3),
            "peer": best,
            "ours_real_time_factor": round(middle["ours"] / audio_s, 6),
            "peer_real_time_factor": round(middle[best] / audio_s, 6),
            "ours_peak_gpu_gb": peaks["ours"],
            "peer_peak_gpu_gb": peaks[best],
            "rounds_s": {side: [round(value, 3) for value in values] for side, values in times.items()},
            "ratio": round(middle[best] / middle["ours"], 2),
        }
    settings = {"utterances": len(waveforms), "audio_s": round(audio_s, 1), "batch_s": batch_s, "peer_batch": 32}
    return {**settings, "device": device, "precisions": found, "machine": describe(), "command": command()}


Recognize = Callable[[Sequence[np.ndarray]], None]


def _timed(run: Recognize, waveforms: Sequence[np.ndarray]) -> tuple[float, float]:
    """Seconds, and the most GPU memory in GB beyond what was held before, weights of both sides among it."""
    on_gpu = torch.cuda.is_available()
    held = 0
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
    started = time.perf_counter()
    run(waveforms)  # ends with text, so the device is done
    seconds = time.perf_counter() - started
    return seconds, round((torch.cuda.max_memory_allocated() - held) / 1e9, 3) if on_gpu else 0.0


def _ours(folder: Path, device: str, dtype: str, batch_s: float) -> Recognize:
    model = sx.SpeechModel.load(str(folder), device=device, dtype=dtype)

    def run(waveforms: Sequence[np.ndarray]) -> None:
        costs = [model.encoder.computed_s(len(waveform) / _SAMPLE_RATE) for waveform in waveforms]
        for batch in batches(range(len(costs)), costs, batch_s):
            model.recognize([waveforms[index] for index in batch])

    return run


def _pipeline(base: Path, work: Path, device: str, dtype: torch.dtype, *, workers: int) -> Recognize:
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    symbols = ["<pad>", "|", "<unk>", *map(chr, range(ord("a"), ord("z") + 1))]
    vocabulary = work / "vocab.json"
    vocabulary.write_text(json.dumps({symbol: number for number, symbol in enumerate(symbols)}), encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(str(vocabulary), bos_token=None, eos_token=None)
    model = Wav2Vec2ForCTC.from_pretrained(base, vocab_size=len(symbols), pad_token_id=0, dtype=dtype)
    with torch.no_grad():
        model.lm_head.bias[0] = 100.0  # blanks, as most frames of speech are: no noise to spell out
    recognize = pipeline(
        "automatic-speech-recognition", model=model, tokenizer=tokenizer, device=device, dtype=dtype,
        feature_extractor=Wav2Vec2FeatureExtractor.from_pretrained(base),
    )  # fmt: skip

    def run(waveforms: Sequence[np.ndarray]) -> None:
        inputs = [{"raw": waveform, "sampling_rate": _SAMPLE_RATE} for waveform in waveforms]
        for _ in recognize(inputs, batch_size=32, num_workers=workers):
            pass

    return run
