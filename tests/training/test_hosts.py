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

#: What runs on each host: the folder and cache are its own, the other arguments those of the command.
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
sys.argv[1:] = sys.argv[3:]
sys.exit(main())
"""


class Hosts:
    """Two hosts, each with a folder of its own."""

    def __init__(self, runs: Runs) -> None:
        self.folder = runs.folder
        self.script = runs.folder / "host.py"
        self.script.write_text(HOST)
        for rank in range(2):
            (runs.folder / f"host{rank}").mkdir()

    def finetune(self, config: Path, *words: str, killed_at: int = -1) -> list[str]:
        """What each of them prints. No launcher: it would end the other process of its host."""
        meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        command = [sys.executable, self.script, self.folder, str(killed_at), "finetune", "--config", config, *words]
        started = [
            subprocess.Popen(
                command, env=os.environ | meeting | {"RANK": str(rank)}, text=True, stderr=subprocess.STDOUT,
                stdout=subprocess.PIPE,
            )
            for rank in range(2)
        ]  # fmt: skip
        return [process.communicate(timeout=120)[0] for process in started]


@pytest.fixture
def hosts(runs: Runs) -> Hosts:
    return Hosts(runs)


def settings(runs: Runs, name: str, **changes: str) -> Path:
    path = runs.folder / f"{name}.toml"
    values = to_dict(runs.config(name, EXACT)) | changes
    del values["training"]["cache_dir"]
    path.write_text(tomli_w.dumps(values))
    return path


@pytest.mark.slow
def test_a_host_that_is_killed_costs_no_step_and_one_alone_goes_on(runs: Runs, hosts: Hosts) -> None:
    runs.run("one", EXACT)
    main, _ = hosts.finetune(settings(runs, "two"), killed_at=5)
    assert "Error: the connection to another process is lost (" in main
    assert "go on with --resume" in main
    last = max((runs.folder / "two" / "checkpoints").iterdir())
    assert json.loads((last / "position.json").read_text())["step"] >= 4  # the last one that both have taken
    runs.run("two", EXACT, resume=True)
    assert runs.losses("two") == pytest.approx(runs.losses("one"), abs=1e-4)
    # On its own disk, each has computed everything.
    sizes = [sum(path.stat().st_size for path in (runs.folder / f"host{rank}").rglob("*.safetensors")) for rank in (0, 1)]  # fmt: skip  # noqa: E501
    assert sizes[0] == sizes[1] > 0


@pytest.mark.slow
def test_a_run_folder_that_the_other_host_does_not_see_is_refused(runs: Runs, hosts: Hosts) -> None:
    for printed in hosts.finetune(settings(runs, "two", output="run")):
        assert "run: process 1 on" in printed
        assert "wanted a folder on a disk that all hosts share" in printed
    assert not (runs.folder / "host1" / "run").exists()


@pytest.mark.slow
def test_other_data_on_the_other_host_is_refused(runs: Runs, hosts: Hosts) -> None:
    lines = Path(runs.base["dev"]).read_text().splitlines()
    for rank in range(2):
        moved = [json.dumps(row | {"audio": str(Path(runs.base["dev"]).parent / row["audio"])}) for row in map(json.loads, lines)]  # fmt: skip  # noqa: E501
        (runs.folder / f"host{rank}" / "dev.jsonl").write_text("\n".join(moved[rank:]) + "\n")
    for printed in hosts.finetune(settings(runs, "two", dev="dev.jsonl")):
        assert "differ in: dev; wanted the same package, model and manifests on all hosts" in printed
    assert not (runs.folder / "two").exists()
