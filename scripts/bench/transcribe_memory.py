"""Peak resident memory of `speechxfer transcribe` on a long recording.

    python scripts/bench/transcribe_memory.py runs/ivr-it/model data/ivr-it/train.jsonl --minutes 60

The recording is the manifest's utterances over and over with pauses between them. The figure is the operating
system's own for the finished process, torch and everything else it imports included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import click
import numpy as np
import soundfile

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.loading import read
from speechxfer.storage import write_json


def write_recording(path: Path, manifest: sx.Manifest, minutes: float) -> None:
    chance = np.random.default_rng(1)
    size = round(minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16") as file:
        for utterance in cycle(manifest):
            pause = chance.normal(0, 1e-3, round(chance.uniform(0.1, 1.5) * SAMPLE_RATE))
            file.write(np.concatenate([read(utterance), pause])[: size - file.frames])
            if file.frames >= size:
                return


@click.command()
@click.argument("model")
@click.argument("manifest")
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(model: str, manifest: str, minutes: float, output: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "recording.wav"
        write_recording(recording, sx.Manifest.read(manifest), minutes)
        command = [str(Path(sys.executable).parent / "speechxfer"), "transcribe", model, str(recording)]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    result = {
        "model": model,
        "minutes": minutes,
        "peak_resident_gb": round(peak / 1e9, 3),
        "seconds": round(seconds, 1),
        "times_real_time": round(minutes * 60 / seconds, 1),
        "words": len(done.stdout.split()),
    }
    click.echo(json.dumps(result, indent=2))
    if output:
        write_json(output, result)


if __name__ == "__main__":
    main()
