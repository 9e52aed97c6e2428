"""One process is blind to the others; two real ones over gloo."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch import nn

from speechxfer.errors import ConfigError
from speechxfer.training import distributed
from speechxfer.training.distributed import World

LAUNCHED = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


@pytest.fixture(autouse=True)
def _launched_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LAUNCHED, "MASTER_PORT", "OMP_NUM_THREADS", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("environment", [{}, {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}])
def test_alone_nothing_is_changed_and_nobody_asked(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_arguments: object, **_options: object) -> None:
        raise AssertionError

    for name in (
        "init_process_group",
        "all_reduce",
        "all_gather_object",
        "barrier",
        "destroy_process_group",
    ):
        monkeypatch.setattr(torch.distributed, name, touched)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    world = World.join("cpu")
    assert (world.rank, world.size, world.is_main) == (0, 1, True)
    with_gradient, without = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    with_gradient.grad = torch.tensor([1.0, 2.0])
    loss = torch.tensor(3.0)
    assert world.sum_gradients([with_gradient, without], loss) is loss
    assert with_gradient.grad.tolist() == [1.0, 2.0]
    assert without.grad is None
    assert world.gather({1: "a"}) == {1: "a"}
    world.barrier()
    world.leave()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MASTER_ADDR": None}, "RANK is set but MASTER_ADDR, MASTER_PORT is not; start with torchrun"),
        ({"RANK": None, "MASTER_PORT": "1"}, "WORLD_SIZE is set but RANK is not"),
        ({"WORLD_SIZE": None, "MASTER_PORT": "1"}, "RANK is set but WORLD_SIZE is not"),
        ({"WORLD_SIZE": "two", "MASTER_PORT": "1"}, "WORLD_SIZE is 'two'; wanted a whole number"),
        ({"RANK": "2", "MASTER_PORT": "1"}, "RANK is 2; wanted less than WORLD_SIZE, which is 2"),
        ({"MASTER_PORT": "many"}, "process 0 of 2 cannot reach the others at 127.0.0.1:many"),
    ],
)
def test_an_incomplete_environment_is_reported(
    changes: dict[str, str | None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (LAUNCHED | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        World.join("cpu")
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_others_that_never_come_are_reported_in_one_line(rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (LAUNCHED | {"RANK": rank, "MASTER_PORT": free_port()}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_ARRIVAL", timedelta(seconds=1))
    with pytest.raises(ConfigError, match=f"process {rank} of 2 cannot reach the others at 127.0.0.1") as caught:
        World.join("cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, 8),
        ({"LOCAL_WORLD_SIZE": "3"}, 2),
        ({"LOCAL_WORLD_SIZE": "3", "OMP_NUM_THREADS": "1"}, 2),  # which torchrun sets by itself
        ({"LOCAL_WORLD_SIZE": "20"}, 1),
        ({"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "3"}, None),
    ],
)
def test_cores_are_dealt_unless_the_user_has(
    environment: dict[str, str], wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: range(8), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert distributed._threads() == wanted


#: What each of two processes does; rank 1 never meets the second parameter.
PROCESS = """
import json, sys, time
from pathlib import Path
import torch
import torch.distributed
from torch import nn
from speechxfer.training import distributed
from speechxfer.training.distributed import World

world = World.join("cpu")
again = World.join("cpu")
first, second, third = (nn.Parameter(torch.ones(size)) for size in ((3, 2), (2,), (1,)))
first.grad = torch.full((3, 2), world.rank + 1.0)
second.grad = torch.tensor([5.0, 7.0]) if world.is_main else None
third.grad = torch.tensor([0.1 + world.rank])
loss = world.sum_gradients([first, second, third], torch.tensor(0.5 + world.rank, dtype=torch.float64))
if not world.is_main:
    time.sleep(0.5)
    Path(sys.argv[1], "written").write_text("before the barrier")
world.barrier()
found = {
    "rank": world.rank, "size": world.size, "main": world.is_main, "same": again == world,
    "threads_dealt": torch.get_num_threads() == distributed._threads(),
    "gradients": [parameter.grad.tolist() for parameter in (first, second, third)],
    "loss": loss.item(), "loss_bytes": loss.untyped_storage().nbytes(),
    "gathered": world.gather({world.rank: f"text {world.rank}", 10 + world.rank: ""}),
    "written": Path(sys.argv[1], "written").exists(),
}
world.barrier()
world.leave()
found["left"] = not torch.distributed.is_initialized()
second_run = World.join("cpu")
found["met_again"] = second_run.gather({world.rank: 1})
second_run.leave()
Path(sys.argv[1], f"{world.rank}.json").write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_two_processes_become_one(tmp_path: Path) -> None:
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [(item.pop("rank"), item.pop("main")) for item in found] == [(0, True), (1, False)]
    assert found[0] == found[1]
    assert found[0].pop("gradients") == [[[3.0, 3.0]] * 3, [5.0, 7.0], [pytest.approx(1.2)]]
    assert found[0].pop("gathered") == {"0": "text 0", "10": "", "1": "text 1", "11": ""}
    assert found[0].pop("loss") == 2.0
    assert found[0].pop("loss_bytes") == 4  # it keeps no gradients in memory
    assert found[0].pop("size") == 2
    assert found[0].pop("met_again") == {"0": 1, "1": 1}
    assert found[0] == {"same": True, "threads_dealt": True, "written": True, "left": True}


def test_what_is_summed_beside_gradients_keeps_its_shape() -> None:
    figures = torch.tensor([2.0, 3.0])
    assert World().sum_gradients([], figures) is figures
