"""Memory and time of a manifest with many lines: streamed (`check`) and as a whole (training).

python -m scripts.bench.large_manifests [--lines 1000000]

Memory is what the process holds above what it held before the manifest was opened, after its imports. Times are those
of the processor, so that a busy machine does not change them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click

_STREAMED = """
import itertools, resource, sys, time
from pathlib import Path
from speechxfer.data.manifest import stream
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
lines = stream(Path(sys.argv[1]))
list(itertools.islice(lines, 1000))
first_s = time.process_time() - began
count = 1000 + sum(1 for _ in lines)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(first_s, time.process_time() - began, (after - before) / 1024)
"""
_WHOLE = """
import resource, sys, time
from speechxfer.data.manifest import Manifest
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
manifest = Manifest.read(sys.argv[1])
read_s = time.process_time() - began
began = time.process_time()
sum(len(one.text or "") for one in manifest)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(read_s, time.process_time() - began, (after - before) / 1024)
"""


def _figures(code: str, path: Path) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    return [float(word) for word in done.stdout.split()]


def write(path: Path, lines: int) -> None:
    """A manifest as a call center has it: a file, a sentence, a length and a speaker."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            text = f"the caller asked about invoice number {number} and the order of last week"
            audio = f"clips/{number // 1000:05d}/call_{number:09d}.wav"
            row = {"audio": audio, "text": text, "duration": 3.2 + number % 700 / 100, "speaker": f"s{number % 5000}"}
            file.write(json.dumps(row) + "\n")


@click.command()
@click.option("--lines", default=1_000_000, show_default=True)
def main(lines: int) -> None:
    """Print the figures, and what they make of a hundred million lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.jsonl"
        write(path, lines)
        first_s, all_s, streamed_mb = _figures(_STREAMED, path)
        read_s, again_s, whole_mb = _figures(_WHOLE, path)
    each_us = 1e6 / lines
    print(f"streamed: first 1000 of {lines} lines after {first_s:.2f} s, all after {all_s:.1f} s, {streamed_mb:.0f} MB")
    print(f"whole: read in {read_s:.1f} s, read again from memory in {again_s:.1f} s, {whole_mb:.0f} MB")
    print(f"a line: {all_s * each_us:.1f} µs streamed; {read_s * each_us:.1f} µs and {whole_mb * 2**20 / lines:.0f} bytes whole")  # fmt: skip  # noqa: E501
    hours, gigabytes = all_s * 1e8 / lines / 3600, whole_mb * 1e8 / lines / 1024
    print(f"a hundred million lines: {hours:.1f} h streamed on one core, {gigabytes:.0f} GB whole")


if __name__ == "__main__":
    main()
