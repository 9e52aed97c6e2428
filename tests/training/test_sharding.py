"""Layers divided over two processes: what one process learns, and what it can read of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from safetensors.torch import load_file

import speechxfer as sx
from speechxfer.config import to_dict
from tests.training.conftest import Runs, interrupted
from tests.training.test_distributed import free_port

#: Layers that are first trained later, averages, and pieces of a step that processes have different numbers of.
SETTINGS: dict[str, Any] = {
    "plan": {"train_top": 2, "unfreeze_every": 1},
    "training": {
        "dropout": 0.0, "cache_dtype": "float32", "ema_epochs": 1.0, "device_batch_seconds": 1.0, "epochs": 3,
        "gradient_checkpointing": True, "checkpoint_minutes": 1e-9,
    },
}  # fmt: skip

#: One of the processes, for one run after the other; each is given with the last of the steps that it is to take.
PROCESS = """
import sys
import speechxfer as sx
from pathlib import Path
from speechxfer.config.reading import read_config
from torch.distributed.tensor import DTensor

class Stopped(sx.Callback):
    def __init__(self, last_step):
        self.last_step = last_step

    def on_step_end(self, state):
        divided = [one for one in state.model.parameters() if isinstance(one, DTensor)]
        assert divided
        assert all(2 * one.to_local().numel() <= one.numel() + 200 for one in divided)
        if state.step == self.last_step:
            raise KeyboardInterrupt

for settings, last_step in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    try:
        sx.finetune(config=read_config(Path(settings)), resume=True, callbacks=[Stopped(int(last_step))])
    except KeyboardInterrupt:
        print("stopped")
"""


def finetune(runs: Runs, **stops: int) -> list[str]:
    """Train in two processes, whose layers are divided, one run after the other, each to a step; what each prints."""
    words: list[str] = []
    for name, stop_at in stops.items():
        settings = to_dict(runs.config(name, SETTINGS, {"training": {"fsdp": True}}))
        (runs.folder / f"{name}.toml").write_text(tomli_w.dumps(settings))
        words += [str(runs.folder / f"{name}.toml"), str(stop_at)]
    script = runs.folder / "process.py"
    script.write_text(PROCESS)
    meeting = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    started = [
        subprocess.Popen(
            [sys.executable, script, *words], text=True,
            env=os.environ | meeting | {"RANK": str(rank)}, stderr=subprocess.STDOUT, stdout=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # fmt: skip
    printed = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], printed
    return printed


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.slow
def test_divided_layers_learn_the_same_and_one_process_goes_on_with_them(runs: Runs) -> None:
    runs.run("one", SETTINGS)
    steps = runs.metrics("one")[0]["step"]
    interrupted(runs, "begun", steps + 2, SETTINGS)
    printed = finetune(runs, divided=-1, begun=-1, stopped=steps + 2)
    assert runs.losses("divided") == pytest.approx(runs.losses("one"), abs=1e-4)
    one, divided = weights(runs.folder / "one"), weights(runs.folder / "divided")
    assert {name: value.shape for name, value in divided.items()} == {name: value.shape for name, value in one.items()}
    for name, value in one.items():
        torch.testing.assert_close(divided[name], value, atol=1e-3, rtol=1e-3)
    assert sx.load(str(runs.folder / "divided" / "model")).encoder.depth == 2
    # Interrupted in the second epoch, resumed alone.
    assert all("stopped" in text for text in printed)
    runs.run("stopped", SETTINGS, resume=True)
    assert runs.losses("stopped") == pytest.approx(runs.losses("one"), abs=1e-4)
    # And the other way around.
    assert runs.losses("begun") == pytest.approx(runs.losses("one"), abs=1e-4)


@pytest.mark.slow
def test_in_one_process_nothing_is_divided(runs: Runs) -> None:
    runs.run("plain", SETTINGS)
    runs.run("asked", SETTINGS, {"training": {"fsdp": True}})
    assert runs.losses("asked") == runs.losses("plain")
