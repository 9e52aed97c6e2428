"""Many compressed recordings: read in between or in threads beside computing, and how memory grows.

    OMP_NUM_THREADS=1 python -m scripts.bench.many_files --model runs/ivr-it/model --manifest data/ivr-it/test.jsonl

The utterances of the manifest are written as Ogg Opus to a temporary folder, over and over until there are enough, and
transcribed by a process for each number of workers, in turns. Printed are a line of JSON for each: seconds from the
first file to the last transcript (the median of several rounds), its ratio to reading in between, and the largest
memory of the process in MB; then whether all wrote the same. On as many threads as `OMP_NUM_THREADS` says.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.loading import read

_PROCESS = """
import hashlib, json, resource, sys, time
from pathlib import Path
import speechxfer as sx
model, workers = sx.load(sys.argv[1], device="cpu"), int(sys.argv[2])
files = sorted(Path(sys.argv[3]).iterdir())
list(model.transcribe_many(files[:2]))
started = time.perf_counter()
texts = [transcript.text for transcript in model.transcribe_many(files, workers=workers)]
seconds = time.perf_counter() - started
memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
digest = hashlib.sha256("\\n".join(texts).encode()).hexdigest()
print(json.dumps({"seconds": seconds, "memory_mb": round(memory_mb), "texts": digest}))
"""


def written(manifest: sx.Manifest, count: int, folder: Path) -> float:
    """Write so many recordings; returns their seconds."""
    import av

    total = 0
    for number, utterance in zip(range(count), itertools.cycle(manifest)):
        waveform = read(utterance)
        total += len(waveform)
        with av.open(folder / f"{number:05}.ogg", "w") as container:
            stream = container.add_stream("libopus", rate=48_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(waveform[None], format="flt", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            for part in av.AudioResampler("flt", "mono", 48_000, 960).resample(frame):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return total / SAMPLE_RATE


def measured(model: str, workers: int, folder: Path) -> dict[str, Any]:
    """Figures of a process of its own."""
    command = [sys.executable, "-c", _PROCESS, model, str(workers), str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    return dict(json.loads(found))


@click.command(cls=sx.Command)
@click.option("--model", required=True, help="A model's folder, trained or exported.")
@click.option(
    "--manifest", required=True, type=click.Path(path_type=Path), help="Utterances that the files are made of."
)
@click.option("--files", "count", default=400, show_default=True)
@click.option("--workers", "numbers", multiple=True, type=int, default=(0, 1, 2), show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(model: str, manifest: Path, count: int, numbers: tuple[int, ...], rounds: int) -> None:
    """Print figures of each number of workers as JSON."""
    found: dict[int, list[dict[str, Any]]] = {workers: [] for workers in numbers}
    with tempfile.TemporaryDirectory() as temporary:
        audio_s = written(sx.Manifest.read(manifest), count, Path(temporary))
        for _ in range(rounds):
            for workers, rows in found.items():
                rows.append(measured(model, workers, Path(temporary)))
    seconds = {workers: statistics.median(row["seconds"] for row in rows) for workers, rows in found.items()}
    for workers, rows in found.items():
        ratio = round(seconds[numbers[0]] / seconds[workers], 2)
        row = {"workers": workers, "seconds": round(seconds[workers], 2), "ratio": ratio}
        click.echo(json.dumps({**row, "memory_mb": max(one["memory_mb"] for one in rows)}))
    texts = {row["texts"] for rows in found.values() for row in rows}
    click.echo(json.dumps({"files": count, "audio_s": round(audio_s), "same_texts": len(texts) == 1}))


if __name__ == "__main__":
    main()
