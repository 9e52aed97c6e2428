"""Exported models against the trained one: size, speed, error rate, and the time of a cold process without torch.

    OMP_NUM_THREADS=1 python -m scripts.bench.export --model runs/ivr-it/model --dev data/ivr-it/dev.jsonl \\
        --test data/ivr-it/test.jsonl

Both compute the same waveforms one by one, in turns, on one thread; speed is the ratio of the processor's time, which
other processes do not change much. Printed is a line of JSON for each quantization and for the cold process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

import speechxfer as sx
from speechxfer.data.loading import read

_COLD = """
import json, sys, time
started = time.process_time()
sys.modules.update(torch=None, transformers=None)
import speechxfer as sx
imported = time.process_time()
sx.load(sys.argv[1]).transcribe(sys.argv[2])
seconds = {"import_s": imported - started, "first_transcript_s": time.process_time() - started}
print(json.dumps({name: round(value, 3) for name, value in seconds.items()}))
"""


def seconds(models: Sequence[sx.Predictor], waveforms: Sequence[np.ndarray]) -> list[float]:
    """Processor seconds of each model for all waveforms, one by one."""
    spent = [0.0] * len(models)
    for waveform in waveforms:
        for place, model in enumerate(models):
            started = time.process_time()
            model.predict([waveform])
            spent[place] += time.process_time() - started
    return spent


def speeds(models: Sequence[sx.Predictor], waveforms: Sequence[np.ndarray]) -> dict[str, float]:
    """How many times as fast the second model is, on waveforms as they are and joined to 28 s."""
    for model in models:
        model.predict(waveforms[:1])  # the first time takes longer
    joined = np.concatenate(waveforms)[: 28 * 16_000]
    found = {"short": seconds(models, waveforms), "28 s": seconds(models, [joined] * 3)}
    return {name: round(ours / theirs, 2) for name, (ours, theirs) in found.items()}


def row(model: str, dev: Path, test: sx.Manifest, quantization: str, folder: Path) -> dict[str, Any]:
    """Figures of one quantization."""
    parity = sx.export(model, folder, quantization=quantization, dev=dev)
    models = [sx.load(name, device="cpu", threads=1) for name in (model, str(folder))]
    results = [sx.evaluate(one, test) for one in models]
    pairs = zip(*(found.in_order for found in results), strict=True)
    return {
        "quantization": quantization,
        "error": [round(next(iter(found.scores.summary.values())), 4) for found in results],
        "same_text": sum(one.hypothesis == other.hypothesis for one, other in pairs),
        "utterances": len(test),
        "size": round(parity.sizes[0] / parity.sizes[1], 3) if parity.sizes else None,
        "speed": speeds(models, [read(utterance) for utterance in test]),
    }


@click.command(cls=sx.Command)
@click.option("--model", required=True, help="A CTC or classification model's folder.")
@click.option("--dev", required=True, type=click.Path(path_type=Path), help="What the exports are checked on.")
@click.option("--test", required=True, type=click.Path(path_type=Path), help="What is measured on.")
def main(model: str, dev: Path, test: Path) -> None:
    """Print figures of each quantization as JSON."""
    measured = sx.Manifest.read(test)
    with tempfile.TemporaryDirectory() as temporary:
        for quantization in ("float32", "float16", "int8"):
            found = row(model, dev, measured, quantization, Path(temporary) / quantization)
            click.echo(json.dumps(found))
        first = test.parent / str(measured[0].audio)
        command = [sys.executable, "-c", _COLD, str(Path(temporary) / "int8"), str(first)]
        click.echo(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


if __name__ == "__main__":
    main()
