"""Rows on Ray: what the driver does, and what is left when workers, actors and the driver are killed.

python -m scripts.bench.ray_rows [--rows 20000] [--kills 10] [--seed 0]

A stand-in takes the place of the model: it reads no sound, and answers each row with a digest of its id. A cluster of
two cores is started on this machine; the driver is a process of its own, which is started again when it is killed.

1. A manifest of so many lines, and one of a single line: time to the first results, and memory there.
2. The whole manifest without kills: processor time of the driver a row, and its memory at the beginning and the end.
3. The same with so many kills at random moments: every row has to be there once, and the sorted lines have to be equal.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from scripts.bench.large_manifests import write
from speechxfer.inference import Read
from speechxfer.jobs.on_ray import OnRay
from speechxfer.jobs.parts import Ids, Parts
from speechxfer.jobs.rows import Result, Row, rows_of
from speechxfer.jobs.running import Totals, run
from speechxfer.jobs.work import Compute

_CORES = 2
_STORE = 200_000_000


@dataclass(frozen=True)
class StandIn:
    """Answers each row with a digest of its id."""

    def versions(self) -> dict[str, str]:
        return {"model": "stand-in"}

    def settings(self) -> dict[str, Any]:
        return {}

    def open(self, read: Read | None = None) -> Compute:
        return _answers


def _answers(rows: Iterable[Row]) -> Iterator[Result]:
    for row in rows:
        yield row.result(text=hashlib.blake2b(row.id.encode(), digest_size=16).hexdigest(), segments=[])


def _memory_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _drive(manifest: str, output: str, address: str) -> None:
    """The driver: prints its figures as JSON."""
    ray: Any = importlib.import_module("ray")
    ray.init(address, log_to_driver=False, logging_level="ERROR")
    memory: list[float] = []
    began, before, first_s = time.monotonic(), _memory_mb(), 0.0
    processor = time.process_time()

    def note(_totals: Totals) -> None:
        nonlocal first_s
        first_s = first_s or time.monotonic() - began
        memory.append(_memory_mb())

    totals = run(StandIn(), [manifest], Path(output), "jsonl", OnRay(), progress=note)
    quarter = len(memory) // 4
    found = {
        "rows": totals.rows, "before": totals.before, "first_s": first_s, "seconds": time.monotonic() - began,
        "processor_s": time.process_time() - processor, "start_mb": before, "first_mb": memory[0] if memory else before,
        "quarter_mb": memory[quarter] if memory else before, "last_mb": memory[-1] if memory else before,
    }  # fmt: skip
    print(json.dumps(found))


def _start(manifest: Path, output: Path, address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scripts.bench.ray_rows", "--drive", address, str(manifest), str(output)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finished(driver: subprocess.Popen[str]) -> dict[str, float]:
    out, errors = driver.communicate()
    if driver.returncode:
        raise SystemExit(f"the driver failed: {errors[-2000:]}")
    figures: dict[str, float] = json.loads(out.splitlines()[-1])
    return figures


def _workers(below: int) -> list[int]:
    """The processes of actors that this process's cluster has."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(path.name)] = (path / "cmdline").read_bytes()
        except OSError:
            continue

    def is_below(process: int) -> bool:
        while process > 1:
            process = parents.get(process, 0)
            if process == below:
                return True
        return False

    return [process for process, name in names.items() if name.startswith(b"ray::_Worker") and is_below(process)]


def _with_kills(manifest: Path, output: Path, address: str, kills: int, seed: int) -> tuple[int, int]:
    """Run a job to its end with so many kills; returns those of workers and of drivers."""
    generator = random.Random(seed)
    killed = [0, 0]
    driver = _start(manifest, output, address)
    while sum(killed) < kills and driver.poll() is None:
        time.sleep(generator.uniform(0.1, 2.0))
        if generator.random() < 0.3:
            driver.send_signal(signal.SIGKILL)
            driver.communicate()
            killed[1] += 1
            driver = _start(manifest, output, address)
            continue
        while driver.poll() is None and not (workers := _workers(os.getpid())):
            time.sleep(0.1)
        if driver.poll() is None:
            os.kill(generator.choice(workers), signal.SIGKILL)
            killed[0] += 1
    _finished(driver)
    return killed[0], killed[1]


def _lines(folder: Path) -> list[bytes]:
    return sorted(line for path in folder.glob("part-*") for line in path.read_bytes().splitlines())


@click.command()
@click.option("--rows", default=20_000, show_default=True)
@click.option("--kills", default=10, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--drive", hidden=True)
@click.argument("paths", nargs=-1, metavar="")
def main(rows: int, kills: int, seed: int, drive: str | None, paths: tuple[str, ...]) -> None:
    """Print the figures; the exit status is 1 if a row is missing, there twice, or different."""
    if drive:
        _drive(paths[0], paths[1], drive)
        return
    ray: Any = importlib.import_module("ray")
    context = ray.init(
        num_cpus=_CORES, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=_STORE
    )
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        write(base / "one.jsonl", 1)
        write(base / "many.jsonl", rows)
        address = context.address_info["gcs_address"]
        began = time.monotonic()
        next(Parts(rows_of([str(base / "many.jsonl")]), Ids()))
        print(f"the first part is read after {time.monotonic() - began:.3f} s of {rows} lines")
        one = _finished(_start(base / "one.jsonl", base / "one", address))
        many = _finished(_start(base / "many.jsonl", base / "many", address))
        print(f"first results after {many['first_s']:.1f} s of {rows} lines, {one['first_s']:.1f} s of one line; {many['first_mb'] - one['first_mb']:.0f} MB more")  # fmt: skip  # noqa: E501
        print(f"driver: {many['processor_s'] * 1e6 / rows:.0f} µs of its processor a row, {rows / many['seconds']:.0f} rows/s; {many['first_mb']:.0f} MB at the first results, {many['quarter_mb']:.0f} MB after a quarter, {many['last_mb']:.0f} MB at the end")  # fmt: skip  # noqa: E501
        workers, drivers = _with_kills(base / "many.jsonl", base / "killed", address, kills, seed)
        wanted, found = _lines(base / "many"), _lines(base / "killed")
        print(f"{workers} workers and {drivers} drivers killed: {len(found)} rows, {len(set(found))} of them different; equal to the run without kills: {found == wanted}")  # fmt: skip  # noqa: E501
    ray.shutdown()
    sys.exit(found != wanted or len(wanted) != rows)


if __name__ == "__main__":
    main()
