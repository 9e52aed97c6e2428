"""Train one run on two hosts, lose one of them, and go on: with two, and with one alone.

    sudo python scripts/two_hosts.py

The hosts are two network namespaces of this machine, joined by one cable, each with a cache of its own and the run's
folder in common. Losses have to be those of one process to the tolerance. One host is lost in two ways: its processes
are killed, and its cable is pulled, which closes no connection. Linux, as root. Prints its figures as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import tomli_w

from scripts.kill_and_resume import write_corpus, write_model
from speechxfer.runs import RunFolder

_HOSTS = ("speechxfer-a", "speechxfer-b")
_ADDRESSES = ("10.213.77.1", "10.213.77.2")
_TOLERANCE = 1e-4
_PATIENCE_S = 300


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def two_hosts() -> Iterator[None]:
    """Two namespaces that can reach each other and nobody else."""
    with contextlib.ExitStack() as stack:
        names = "".join(f"{address} {host}\n" for host, address in zip(_HOSTS, _ADDRESSES, strict=True))
        for host in _HOSTS:
            ip("netns", "add", host)
            stack.callback(ip, "netns", "delete", host)
            etc = Path("/etc/netns", host)  # what stands there is seen in /etc of the namespace
            etc.mkdir(parents=True, exist_ok=True)  # a run that was killed leaves it
            stack.callback(shutil.rmtree, etc)
            (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
            (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        ip("link", "add", "cable", "netns", _HOSTS[0], "type", "veth", "peer", "name", "cable", "netns", _HOSTS[1])
        for host, address in zip(_HOSTS, _ADDRESSES, strict=True):
            ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("cable", "lo"):
                ip("-n", host, "link", "set", device, "up")
        yield


def settings(folder: Path, name: str, **training: object) -> Path:
    """The settings of a run, in a file."""
    values: dict[str, Any] = {
        "model": str(folder / "source"), "train": str(folder / "train.jsonl"), "dev": str(folder / "dev.jsonl"),
        "output": str(folder / name), "device": "cpu", "plan": {"train_top": 1, "encoder_lr": 1e-3, "head_lr": 1e-2},
        "training": {"epochs": 6, "batch_seconds": 4.0, "dropout": 0.0, "cache": "disk", "cache_dtype": "float32"}
        | training,
    }  # fmt: skip
    (folder / f"{name}.toml").write_text(tomli_w.dumps(values))
    return folder / f"{name}.toml"


class Started:
    """`speechxfer finetune` on one of the hosts, or in one process outside of them."""

    def __init__(self, config: Path, host: int | None = None, *, resume: bool = False) -> None:
        words = ["-m", "speechxfer", "finetune", "--config", str(config), *(["--resume"] if resume else [])]
        launcher: list[str] = []
        if host is not None:
            launcher = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(host)]  # fmt: skip  # noqa: E501
            launcher += ["--master-addr", _HOSTS[0], "--master-port", "29400"]
        inside = ["ip", "netns", "exec", _HOSTS[host]] if host is not None else []
        cache = {"SPEECHXFER_CACHE": str(config.parent / f"cache-{host}"), "OMP_NUM_THREADS": "1"}
        self.log = config.parent / f"log-{host}.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*inside, sys.executable, *launcher, *words], stdout=log, stderr=log, env=os.environ | cache,
                start_new_session=True,
            )  # fmt: skip

    def finish(self) -> None:
        """Wait for its good end."""
        if self.process.wait(_PATIENCE_S):
            sys.exit(f"failed:\n{self.log.read_text()}")

    def fail(self) -> tuple[float, str]:
        """Wait for its end with an error: seconds, and the message."""
        began = time.monotonic()
        if not self.process.wait(_PATIENCE_S):
            sys.exit("it ended well, but should not have")
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("Error: ")]
        if len(lines) != 1:
            sys.exit(f"no message, or several:\n{self.log.read_text()}")
        return round(time.monotonic() - began, 1), lines[0]

    def kill(self) -> None:
        """Kill the launcher and what it has started, which are sessions of their own."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for number in (self.process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in RunFolder(folder).history]


def finish_on_two(config: Path, *, resume: bool = False) -> None:
    for one in [Started(config, host, resume=resume) for host in range(2)]:
        one.finish()


def begin(config: Path) -> list[Started]:
    """A run on both hosts, which has ended its first epoch."""
    both = [Started(config, host) for host in range(2)]
    while not RunFolder(config.with_suffix("")).history:
        if both[0].process.poll() is not None:
            sys.exit(f"failed:\n{both[0].log.read_text()}")
        time.sleep(0.05)
    return both


def lose(config: Path, *, killed: bool, host: int) -> dict[str, object]:
    """Lose a host in the middle of a run: how long the other one takes to notice, and what it prints."""
    lost, other = (both := begin(config))[host], both[1 - host]
    if killed:
        lost.kill()
    else:
        ip("-n", _HOSTS[host], "link", "set", "cable", "down")
    seconds, message = other.fail()
    if not killed:
        lost.kill()
        ip("-n", _HOSTS[host], "link", "set", "cable", "up")
    return {"seconds": seconds, "message": message, "epochs": len(losses(config.with_suffix("")))}


@click.command()
def main() -> None:
    """Run everything."""
    with tempfile.TemporaryDirectory() as name, two_hosts():
        folder, chance = Path(name), random.Random(1)
        write_model(folder / "source")
        for split, count in (("train", 80), ("dev", 10)):
            write_corpus(folder, split, count, chance)
        found: dict[str, Any] = {"lost": {}}
        Started(settings(folder, "one")).finish()
        wanted = losses(folder / "one")
        finish_on_two(settings(folder, "two"))
        differences = {"two hosts": _difference(losses(folder / "two"), wanted)}
        for way, killed, host in (("killed", True, 1), ("killed, the main one", True, 0), ("cable pulled", False, 1), ("cable pulled, the main one", False, 0)):  # fmt: skip  # noqa: E501
            config = settings(folder, "lost", checkpoint_minutes=1e-9)
            print(way, file=sys.stderr, flush=True)
            found["lost"][way] = lose(config, killed=killed, host=host)
            shutil.copytree(folder / "lost", folder / "alone")
            finish_on_two(config, resume=True)
            Started(settings(folder, "alone", checkpoint_minutes=1e-9), resume=True).finish()
            for what, run in (("resumed on two", "lost"), ("resumed on one", "alone")):
                differences[f"{way}, {what}"] = _difference(losses(folder / run), wanted)
                shutil.rmtree(folder / run)
        print(json.dumps(found | {"losses": wanted, "largest difference": differences}, indent=2))
        sys.exit(max(differences.values()) > _TOLERANCE)


def _difference(seen: list[float], wanted: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(seen, wanted, strict=True))


if __name__ == "__main__":
    main()
