"""Many short runs in one process and many requests to one server: memory, open files and threads over time.

    python scripts/soak.py --runs 1000 --requests 10000 --output soak.json --plot soak.svg

The runs adapt a tiny random model to tones, each in a folder of its own that is removed afterwards; the server has the
model of the first one. What grows is judged between the second quarter and the last: what is allocated once and kept
(kernels, pools, caches) is there by then.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch

import speechxfer as sx
from scripts.bench.server import Server, encoded, served
from scripts.kill_and_resume import tone, write_corpus, write_model
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json, write_text

_MEASURES = ("memory_mb", "files", "threads")
#: What may grow from the second quarter to the last: megabytes by fragmentation, pools of threads and connections by
#: one or two where clients happen to meet. A leak grows with each run or request.
_TOLERATED = {"memory_mb": 16.0, "files": 2.5, "threads": 2.5}


class Sample(NamedTuple):
    """What a process holds."""

    memory_mb: float
    files: int
    threads: int

    @classmethod
    def of(cls, process: int) -> Sample:
        """As the system counts it."""
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        resident, threads = (int(re.findall(rf"{name}:\s+(\d+)", status)[0]) for name in ("VmRSS", "Threads"))
        return cls(resident / 1000, len(os.listdir(f"/proc/{process}/fd")), threads)  # noqa: PTH208


def runs(folder: Path, count: int) -> Iterator[Sample]:
    """What this process holds after each run."""
    chance = random.Random(1)
    base: dict[str, Any] = {
        "model": write_model(folder / "source"), "train": write_corpus(folder, "train", 12, chance),
        "dev": write_corpus(folder, "dev", 4, chance), "device": "cpu",
    }  # fmt: skip
    training = {"epochs": 1, "batch_seconds": 4.0, "cache": "disk", "cache_dir": str(folder / "cache")}
    for number in range(count):
        output = folder / f"run{number}"
        sx.finetune(**base, output=str(output), training=training)
        if number:  # the first one's model is served later
            shutil.rmtree(output)
        gc.collect()
        yield Sample.of(os.getpid())


def requests(server: Server, count: int) -> Iterator[Sample]:
    """What the server holds after each request; every tenth is not sound."""
    chance = random.Random(2)
    for number in range(count):
        text = "".join(chance.choices("abc", k=chance.randint(2, 40)))
        is_sound = number % 10 != 9
        status, answer = server.post(encoded(tone(text), "wav") if is_sound else chance.randbytes(2000))
        if (status == 200) != is_sound:
            raise click.ClickException(f"request {number}: status {status}: {answer[:200]!r}")
        yield Sample.of(server.pid)


def growth(samples: list[Sample]) -> dict[str, float]:
    """By how much the medians of the second quarter and of the last differ."""
    quarter = max(len(samples) // 4, 1)
    early, late = (
        {name: statistics.median(getattr(one, name) for one in some) for name in _MEASURES}
        for some in (samples[quarter : 2 * quarter], samples[-quarter:])
    )
    return {name: round(late[name] - early[name], 2) for name in _MEASURES}


def plot(found: dict[str, list[Sample]]) -> str:
    """The samples over time as a picture, one line a measure, each in its own scale."""
    parts, width, height = [], 640, 120
    for row, (what, name) in enumerate((what, name) for what in found for name in _MEASURES):
        values = [float(getattr(one, name)) for one in found[what]]
        low, high = min(values), max(values)
        scale = (height - 40) / ((high - low) or 1.0)
        points = " ".join(f"{40 + place * (width - 60) / max(len(values) - 1, 1):.1f},{(row + 1) * height - 15 - (value - low) * scale:.1f}" for place, value in enumerate(values))  # fmt: skip  # noqa: E501
        label = f"{name} after each of {len(values):,} {what}: {low:.0f} to {high:.0f}"
        parts.append(f'<text x="40" y="{row * height + 15}" font-size="12" font-family="sans-serif">{label}</text>')
        parts.append(f'<polyline fill="none" stroke="#2563eb" points="{points}"/>')
    size = f'width="{width}" height="{2 * len(_MEASURES) * height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n'


def soak(folder: Path, num_runs: int, num_requests: int) -> dict[str, list[Sample]]:
    """Samples of both."""
    found: dict[str, list[Sample]] = {"runs": [], "requests": []}
    with click.progressbar(runs(folder, num_runs), length=num_runs, label="runs", file=sys.stderr) as bar:
        found["runs"] += bar
    with (
        served(str(RunFolder(folder / "run0").model)) as server,
        click.progressbar(
            requests(server, num_requests), length=num_requests, label="requests", file=sys.stderr
        ) as bar,
    ):
        found["requests"] += bar
    return found


@click.command()
@click.option("--runs", "num_runs", default=1000, show_default=True)
@click.option("--requests", "num_requests", default=10_000, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write all samples here as JSON.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw them here as SVG.")
def main(num_runs: int, num_requests: int, output: Path | None, picture: Path | None) -> None:
    """Fail where something grows."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), num_runs, num_requests)
    if output:
        write_json(output, {what: [one._asdict() for one in samples] for what, samples in found.items()})
    if picture:
        write_text(picture, plot(found))
    grown = {what: growth(samples) for what, samples in found.items()}
    print(json.dumps({"growth": grown, "last": {what: one[-1]._asdict() for what, one in found.items()}}, indent=2))
    sys.exit(any(grown[what][name] > _TOLERATED[name] for what in grown for name in _MEASURES))


if __name__ == "__main__":
    main()
