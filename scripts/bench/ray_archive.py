"""An archive of real speech in tar shards on two Ray nodes of this machine, one of which is killed midway.

python -m scripts.bench.ray_archive MODEL MANIFEST [--hours 1]

The recordings of the manifest are repeated under other names until there is so much of them. The archive is transcribed
by two processes without Ray, each half of the shards; then on two nodes with a core each; then again, and one node is
killed with SIGKILL after half of that time. All three have to give the same texts. Times are from the start of the
commands to their end, with opening the model.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import click

from speechxfer.data.manifest import Manifest

_SHARD = 200
_STORE = 100_000_000


def _shards(manifest: Manifest, folder: Path, hours: float) -> int:
    """Write tar shards; returns how many recordings are in them."""
    folder.mkdir()
    known = [(one, one.duration or 0.0) for one in manifest.with_durations()]
    seconds, number = 0.0, 0
    for shard in count():
        with tarfile.open(folder / f"archive-{shard:04d}.tar", "w") as tar:
            for _ in range(_SHARD):
                utterance, duration = known[number % len(known)]
                tar.add(utterance.path, f"{number:07d}{utterance.path.suffix}")
                seconds, number = seconds + duration, number + 1
                if seconds >= hours * 3600:
                    return number
    return number


def _texts(*folders: Path) -> dict[str, str]:
    """Name of a recording -> its text or error; none is there twice."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in folder.glob("part-*"):
            for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                name = Path(row["audio"]).name
                if name in found:
                    raise SystemExit(f"{name} is there twice")
                found[name] = row.get("text", row.get("error"))
    return found


def _start(model: str, shards: str, output: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "speechxfer", "transcribe", model, shards, "--output", str(output), *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _memory_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def _without_ray(model: str, shards: Path, base: Path) -> tuple[float, dict[str, str]]:
    began = time.monotonic()
    names = sorted(path.name for path in shards.iterdir())
    halves = []
    for number in range(2):
        folder = base / f"half{number}"
        folder.mkdir()
        for name in names[number::2]:
            (folder / name).symlink_to(shards / name)
        halves.append(_start(model, str(folder / "*.tar"), base / f"plain{number}"))
    if any(process.wait() for process in halves):
        raise SystemExit("transcribe without Ray failed")
    return time.monotonic() - began, _texts(base / "plain0", base / "plain1")


def _on_ray(
    model: str,
    shards: Path,
    output: Path,
    address: str,
    midway: Callable[[], object] | None = None,
    midway_s: float = 0.0,
) -> tuple[float, list[float]]:
    """Seconds, and the driver's memory in MB each second."""
    began, memory = time.monotonic(), list[float]()
    driver = _start(model, str(shards / "*.tar"), output, "--engine", "ray", "--address", address, "--device", "cpu")
    while driver.poll() is None:
        time.sleep(1.0)
        memory.append(_memory_mb(driver.pid))
        if midway and time.monotonic() - began >= midway_s:
            midway()
            midway = None
    if driver.returncode or midway:
        raise SystemExit(f"transcribe on Ray failed ({driver.returncode}), or was over before a node was killed")
    return time.monotonic() - began, [one for one in memory if one]


@click.command()
@click.argument("model")
@click.argument("manifest", type=click.Path(path_type=Path, exists=True))
@click.option("--hours", default=1.0, show_default=True)
def main(model: str, manifest: Path, hours: float) -> None:
    """Print the figures; the exit status is 1 if texts differ."""
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")
    with tempfile.TemporaryDirectory() as folder:
        base, shards = Path(folder), Path(folder) / "shards"
        rows = _shards(Manifest.read(manifest), shards, hours)
        plain_s, wanted = _without_ray(model, shards, base)
        print(f"{rows} recordings, {hours:g} h; without Ray, two processes: {plain_s:.0f} s")
        head = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            node = cluster.add_node(num_cpus=1, object_store_memory=_STORE)
            ray_s, memory = _on_ray(model, shards, base / "ray", cluster.address)
            quarter = memory[len(memory) // 4 :]
            print(f"two nodes: {ray_s:.0f} s, {plain_s / ray_s:.2f} of the throughput; the driver has {quarter[0]:.0f} MB after a quarter, {max(quarter):.0f} MB at most and {quarter[-1]:.0f} MB at the end")  # fmt: skip  # noqa: E501
            killed_s, _ = _on_ray(model, shards, base / "killed", cluster.address, node.kill_raylet, ray_s / 2)
            print(f"one of two nodes killed midway: {killed_s:.0f} s")
        finally:
            cluster.shutdown()
        same = [_texts(base / name) == wanted for name in ("ray", "killed")]
        print(f"texts are those without Ray: {same[0]}; with a node killed: {same[1]}")
    sys.exit(not all(same))


if __name__ == "__main__":
    main()
