"""Two processes as on two hosts: each has its own cache and working folder. `scripts/two_hosts.py` has real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from speechxfer.config import to_dict
from tests.training.conftest import Runs
from tests.training.test_distributed import free_port

EXACT = {"training": {"dropout": 0.0, "cache": "disk", "cache_dtype": "float32", "checkpoint_minutes": 1e-9}}

#: What runs on each host: commands one after the other; the folder and cache are its own.
HOST = """
import os, sys
from pathlib import Path
import speechxfer as sx
from speechxfer.cli import main
from speechxfer.training.loop import TrainingLoop

host, last_step = Path(sys.argv[1], "host" + os.environ["RANK"]), int(sys.argv[2])
os.environ["SPEECHXFER_CACHE"] = str(host / "cache")
os.chdir(host)

class Killed(sx.Callback):
    def on_step_end(self, state):
        if not state.is_main and state.step == last_step:
            os._exit(9)

begin = TrainingLoop.__init__
TrainingLoop.__init__ = lambda self, task, preparation, own: begin(self, task, preparation, [*own, Killed()])
for config in sys.argv[3:]:
    sys.argv[1:] = ["finetune", "--config", config]
    try:
        main()
    except SystemExit as end:
        print(f"{config} ended with {end.code}")
"""


class Hosts:
    """Two hosts, each with a folder of its own."""

    def __init__(self, runs: Runs) -> None:
        self.folder = runs.folder
        self.script = runs.folder / "host.py"
        self.script.write_text(HOST)
        for rank in range(2):
            (runs.folder / f"host{rank}").mkdir()

    def finetune(self, *configs: Path, killed_at: int) -> list[str]:
        """What each of them prints. No launcher: it would end the other process of its host."""
        meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        command = [sys.executable, self.script, self.folder, str(killed_at), *configs]
        started = [
            subprocess.Popen(
                command, env=os.environ | meeting | {"RANK": str(rank)}, text=True, stderr=subprocess.STDOUT,
                stdout=subprocess.PIPE,
            )
            for rank in range(2)
        ]  # fmt: skip
        return [process.communicate(timeout=300)[0] for process in started]


@pytest.fixture
def hosts(runs: Runs) -> Hosts:
    return Hosts(runs)


def settings(runs: Runs, name: str, **changes: str) -> Path:
    path = runs.folder / f"{name}.toml"
    values = to_dict(runs.config(name, EXACT)) | changes
    del values["training"]["cache_dir"]
    path.write_text(tomli_w.dumps(values))
    return path


def without_first(manifest: Path, folder: Path) -> None:
    """Write the manifest `dev.jsonl` of a host, which differs from that of the other one."""
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    moved = [json.dumps(row | {"audio": str(manifest.parent / row["audio"])}) + "\n" for row in lines]
    (folder / "dev.jsonl").write_text("".join(moved[1:] if folder.name == "host1" else moved))


@pytest.mark.slow
def test_hosts_that_differ_are_refused_and_one_that_is_killed_costs_no_step(runs: Runs, hosts: Hosts) -> None:
    """One start of two processes for all, since starting takes longer than all else."""
    runs.run("one", EXACT)
    for rank in range(2):
        without_first(Path(runs.base["dev"]), runs.folder / f"host{rank}")
    data, folder = settings(runs, "data", dev="dev.jsonl"), settings(runs, "folder", output="run")
    printed = hosts.finetune(data, folder, settings(runs, "two"), killed_at=5)
    for text in printed:
        assert "differ in: dev; wanted the same package, model and manifests on all hosts" in text
        assert f"{data} ended with " in text
        assert "run: process 1 on" in text
        assert "wanted a folder on a disk that all hosts share" in text
        assert f"{folder} ended with " in text
    assert not (runs.folder / "data").exists()
    assert not (runs.folder / "host1" / "run").exists()
    assert "Error: the connection to another process is lost (" in printed[0]
    assert "go on with --resume" in printed[0]
    last = max((runs.folder / "two" / "checkpoints").iterdir())
    assert json.loads((last / "position.json").read_text())["step"] >= 4  # the last one that both have taken
    runs.run("two", EXACT, resume=True)
    assert runs.losses("two") == pytest.approx(runs.losses("one"), abs=1e-4)
    # On its own disk, each has computed everything.
    sizes = [sum(path.stat().st_size for path in (runs.folder / f"host{rank}").rglob("*.safetensors")) for rank in (0, 1)]  # fmt: skip  # noqa: E501
    assert sizes[0] == sizes[1] > 0
