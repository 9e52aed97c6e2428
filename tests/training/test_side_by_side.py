"""Two processes of one run, which train what one process does; several runs, for starting processes takes long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from speechxfer.config import to_dict
from tests.training.conftest import Runs
from tests.training.test_usable import BAD, lines_of, write

PLAIN = {"training": {"dropout": 0.0, "epochs": 2}}

PROCESS = """
import sys
from pathlib import Path
import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import read_config

class StopOne(sx.Callback):
    def on_step_end(self, state):
        if not state.is_main and state.step == 2:
            state.stop()

for settings in sys.argv[1:3]:
    main(["finetune", "--config", settings], standalone_mode=False)
sx.finetune(config=read_config(Path(sys.argv[3])), callbacks=[StopOne()])
"""


@pytest.mark.slow
def test_two_processes_train_what_one_does(runs: Runs) -> None:
    """Each computes half of every step; what one process computes at once is twice that."""
    folder, good = Path(runs.base["train"]).parent, lines_of(runs.base["train"])
    (folder / "click.wav").write_bytes((folder / "train0.wav").read_bytes())
    mixed = {"train": write(folder, "mixed", [*good, BAD["too short"][0]])}
    runs.run("one", PLAIN)
    script = runs.folder / "process.py"
    script.write_text(PROCESS)
    for name, layer in {"two": {}, "bad": mixed, "stopped": {}}.items():
        (runs.folder / f"{name}.toml").write_text(tomli_w.dumps(to_dict(runs.config(name, PLAIN, layer))))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    command += [str(runs.folder / f"{name}.toml") for name in ("two", "bad", "stopped")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert runs.losses("two") == pytest.approx(runs.losses("one"), abs=1e-4)
    metrics = [json.loads((runs.folder / name / "metrics.json").read_text())["dev"] for name in ("one", "two")]
    assert metrics[0] == metrics[1]
    # A text that is too long for its sound is left out by both, and reported by one.
    assert done.stderr.count("too short for their text") == 1
    assert runs.losses("bad") == pytest.approx(runs.losses("one"), abs=1e-4)
    # They stop together where one of them wants to, so that none waits for another in vain.
    assert [line["step"] for line in runs.metrics("stopped")] == [2]
