"""An archive of real speech in tar shards on two Ray nodes of this machine, one of which is killed midway.

python -m scripts.bench.ray_archive MODEL MANIFEST... [--hours 1] [--s3] [--plot memory.png]

The recordings of the manifests are repeated under other names until there is so much of them. The archive is
transcribed by two processes without Ray, each half of the shards; then on two nodes with a core each; then again, and
one node is killed with SIGKILL after a third of that time. The recordings themselves are transcribed as loose files.
All have to give the same texts. With --s3, shards are objects of a store: `moto`'s server, which is started here
(python -m pip install 'moto[server]' s3fs). Times are from the start of the commands to their end, with opening the
model; processor time is that of all processes but the store's, and does not change with what else the machine does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import click

from speechxfer.data.manifest import Manifest

_SHARD = 100
_STORE = 100_000_000
_BUCKET = "archive"
_TICKS = os.sysconf("SC_CLK_TCK")


class Job(NamedTuple):
    """How long a job took, how much of the processor, and the driver's memory in MB each second."""

    seconds: float
    processor_s: float
    memory: list[float]


def _archive(manifests: Sequence[Path], folder: Path, hours: float) -> dict[str, Path]:
    """Write tar shards, in two folders; returns which recording each member is a copy of."""
    known = [(one, one.duration or 0.0) for name in manifests for one in Manifest.read(name).with_durations()]
    copies: dict[str, Path] = {}
    seconds = 0.0
    for shard in count():
        half = folder / f"half{shard % 2}"
        half.mkdir(parents=True, exist_ok=True)
        with tarfile.open(half / f"archive-{shard:04d}.tar", "w") as tar:
            for _ in range(_SHARD):
                utterance, duration = known[len(copies) % len(known)]
                name = f"{len(copies):07d}{utterance.path.suffix}"
                tar.add(utterance.path, name)
                copies[name] = utterance.path.absolute()
                seconds += duration
                if seconds >= hours * 3600:
                    return copies
    return copies


@contextlib.contextmanager
def _object_store(folder: Path) -> Iterator[str]:
    """A server of S3 on this machine that holds what is in a folder; yields its address as that of a store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing",
    }  # fmt: skip
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while server.poll() is None and socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        store: Any = importlib.import_module("fsspec").filesystem("s3")
        store.mkdir(_BUCKET)
        store.put(f"{folder}/", _BUCKET, recursive=True)
        yield f"s3://{_BUCKET}"
    finally:
        server.kill()


def _texts(*folders: Path) -> dict[str, str]:
    """Address of a recording, its name for what is in a shard -> its text or error; none is there twice."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in folder.glob("part-*"):
            for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                name = row["audio"].rpartition(".tar/")[2]
                if name in found:
                    raise SystemExit(f"{name} is there twice")
                found[name] = row.get("text", row.get("error"))
    return found


def _start(model: str, names: Sequence[str], output: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "speechxfer", "transcribe", model, *names, "--output", str(output), *options]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _memory_mb(process: int) -> float:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)
    return 0.0


def _processor_s(leave_out: str) -> dict[int, float]:
    """Of each process that this one started, and of those that they did, but one by a word of its command."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            values = (path / "stat").read_text().rpartition(")")[2].split()
            if leave_out.encode() not in (path / "cmdline").read_bytes():
                parents[int(path.name)], spent[int(path.name)] = int(values[1]), (int(values[11]) + int(values[12])) / _TICKS  # fmt: skip  # noqa: E501
    found = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return {process: spent[process] for process in found}


def _measured(processes: Sequence[subprocess.Popen[bytes]], *, kill: int = 0, after_s: float = 0.0) -> Job:
    """Wait for commands, and kill a process on the way."""
    began, memory = time.monotonic(), list[float]()
    before = most = _processor_s("moto")
    while any(process.poll() is None for process in processes):
        time.sleep(1.0)
        most = most | _processor_s("moto")
        memory.append(_memory_mb(processes[0].pid))
        if kill and time.monotonic() - began >= after_s:
            os.kill(kill, signal.SIGKILL)
            kill = 0
    if kill or any(process.returncode for process in processes):
        raise SystemExit("transcribe failed, or was over before a node was killed")
    spent = sum(most.values()) - sum(before.values())
    return Job(time.monotonic() - began, spent, [one for one in memory if one])


def _plot(path: Path, jobs: dict[str, Job]) -> None:
    """The driver's memory over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name, job in jobs.items():
        axes.plot(range(1, len(job.memory) + 1), job.memory, label=name)
    axes.set(xlabel="seconds since the start", ylabel="memory of the driver (MB)", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


def _run(model: str, address: str, base: Path) -> dict[str, Job]:
    """Transcribe the archive three times; the results are in folders of `base`."""
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")
    halves = [f"{address}/half{number}/*.tar" for number in range(2)]
    plain = [_start(model, [half], base / f"plain{number}") for number, half in enumerate(halves)]
    jobs = {"two processes without Ray": _measured(plain)}
    head = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    options = ("--engine", "ray", "--address", cluster.address, "--device", "cpu")
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=_STORE)
        jobs["two nodes"] = _measured([_start(model, halves, base / "ray", *options)])
        raylet = node.all_processes["raylet"][0].process.pid
        driver = _start(model, halves, base / "killed", *options)
        jobs["one of two nodes killed"] = _measured([driver], kill=raylet, after_s=jobs["two nodes"].seconds / 3)
    finally:
        cluster.shutdown()
    return jobs


@click.command()
@click.argument("model")
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--hours", default=1.0, show_default=True)
@click.option("--s3", is_flag=True, help="Shards are behind moto's server.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the driver's memory over time here.")
def main(model: str, manifests: tuple[Path, ...], hours: float, s3: bool, plot: Path | None) -> None:
    """Print the figures; the exit status is 1 if texts differ."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        copies = _archive(manifests, base / "shards", hours)
        with _object_store(base / "shards") if s3 else contextlib.nullcontext(f"{base}/shards") as address:
            jobs = _run(model, address, base)
        _measured([_start(model, [str(one.absolute()) for one in manifests], base / "loose")])
        loose = _texts(base / "loose")
        wanted = {name: loose[str(path)] for name, path in copies.items()}
        same = {name: _texts(*(base / one for one in folders)) == wanted for name, folders in zip(jobs, (("plain0", "plain1"), ("ray",), ("killed",)), strict=True)}  # fmt: skip  # noqa: E501
    print(f"{len(wanted)} recordings, {hours:g} h, of {len(loose)} loose files")
    plain = jobs["two processes without Ray"]
    for name, job in jobs.items():
        quarter = job.memory[len(job.memory) // 4 :]
        print(f"{name}: {job.seconds:.0f} s ({plain.seconds / job.seconds:.2f} of the throughput without Ray), {job.processor_s:.0f} s of the processor ({plain.processor_s / job.processor_s:.2f}); the driver has {quarter[0]:.0f} MB after a quarter, {max(quarter):.0f} MB at most and {quarter[-1]:.0f} MB at the end; texts are those of loose files: {same[name]}")  # fmt: skip  # noqa: E501
    if plot:
        _plot(plot, jobs)
    sys.exit(not all(same.values()))


if __name__ == "__main__":
    main()
