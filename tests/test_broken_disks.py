"""Writes fail as on a broken disk: one line, nothing half-written, and the command works once the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.broken_disks import Command, commands, failing, outcomes, problem
from scripts.fuzz.model_files import tiny_model
from scripts.tiny_corpus import corpus
from speechxfer.cli import main


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Command]]:
    """Data, and the commands by name, with a model that one of them has trained."""
    folder = tmp_path_factory.mktemp("broken")
    data, model = corpus(folder / "data"), str(tiny_model(folder / "model"))
    first = commands(model)[-1]
    assert CliRunner().invoke(main, first.arguments(data, folder)).exit_code == 0
    return data, {command.name: command for command in commands(model, folder / "run")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest from-folder", "manifest split", "check", "lm train", "transcribe", "evaluate", "suggest", "report"])  # fmt: skip  # noqa: E501
def test_every_write_may_fail(broken: tuple[Path, dict[str, Command]], name: str) -> None:
    data, known = broken
    found = list(outcomes(known[name], data, (errno.ENOSPC,)))
    assert len(found) >= 3
    assert [(what, wrong) for what, wrong in found if wrong] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "error"), [(2, errno.EROFS), (12, errno.EIO), (24, errno.ENOSPC), (30, errno.ENOSPC)]
)
def test_a_run_goes_on_after_a_write_failed(
    broken: tuple[Path, dict[str, Command]], tmp_path: Path, number: int, error: int
) -> None:
    data, known = broken
    arguments = known["finetune"].arguments(data, tmp_path)
    with failing(tmp_path, number, error) as faults:
        result = CliRunner().invoke(main, arguments)
    assert faults.hit
    assert problem(result, tmp_path) is None
    assert CliRunner().invoke(main, arguments).exit_code == 0


def _may_mount() -> bool:
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _may_mount(), reason="no file system may be mounted here")
def test_a_disk_that_fills_up(broken: tuple[Path, dict[str, Command]], tmp_path: Path) -> None:
    data, known = broken
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "run.py").write_text("from speechxfer.cli import main; main()")
    script = (
        f'mount -t tmpfs -o size=16k none {disk}; {sys.executable} {tmp_path}/run.py "$@"; echo "rc $?"; ls -A {disk}; '
        f'mount -o remount,size=64m {disk}; {sys.executable} {tmp_path}/run.py "$@" > {tmp_path}/log 2>&1; echo "rc $?"'
    )
    command = ["unshare", "-rm", "sh", "-c", script, "sh", *known["finetune"].arguments(data, disk)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    errors = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, ended.stderr
    assert str(disk) in errors[0]
    assert "No space left on device" in errors[0] or "full" in errors[0]
    assert "Traceback" not in ended.stderr
    assert ended.stdout.splitlines()[-1] == "rc 0", (tmp_path / "log").read_text()


def test_a_full_output(broken: tuple[Path, dict[str, Command]]) -> None:
    data, _ = broken
    command = [sys.executable, "-c", "from speechxfer.cli import main; main()", "check", str(data / "train.jsonl")]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("Error: the output could not be written (No space left on device)")
