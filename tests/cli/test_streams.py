"""Standard output and error of a command in a process of its own: any encoding, closed, or full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "Grüße, привет, 你好, 😀 \udce9"
COMMAND = f"""
import sys, json, click
from speechxfer.cli import Command, streams
@click.command(cls=Command)
@click.option("--times", default=1)
def say(times):
    for number in range(times):
        streams.write({TEXT!r} + "\\n")
        streams.write(json.dumps({{"text": {TEXT!r}}}, ensure_ascii=False) + "\\n")
    click.echo({TEXT!r}, err=True)
say()
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "say.py"
    path.write_text(COMMAND)
    return str(path)


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    command = [sys.executable, script, *arguments]
    return subprocess.run(command, capture_output=True, env={**kept, **environment}, check=False)


@pytest.mark.parametrize(
    "environment",
    [{}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "POSIX"}],
)
def test_a_pipe_gets_utf8_in_any_locale(script: str, environment: dict[str, str]) -> None:
    done = run(script, **environment)
    assert done.returncode == 0
    assert done.stdout.decode().startswith("Grüße, привет, 你好, 😀 \\udce9\n")
    assert "привет" in done.stderr.decode()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "koi8-r", "utf-16", "latin-1:strict"])
def test_what_an_encoding_lacks_is_escaped_and_json_stays_json(script: str, encoding: str) -> None:
    done = run(script, PYTHONIOENCODING=encoding)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    codec = "utf-8" if encoding == "ascii" else encoding.partition(":")[0]  # click writes UTF-8 there
    plain, quoted = done.stdout.decode(codec).splitlines()
    assert json.loads(f'"{plain}"').startswith("Grüße, привет, 你好, 😀")
    assert json.loads(quoted)["text"].startswith("Grüße, привет, 你好, 😀")


def test_a_reader_that_goes_away_is_no_error(script: str) -> None:
    command = f"{sys.executable} {script} --times 100000 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.stdout.decode().startswith("Grüße")
    assert done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_one_line(script: str) -> None:
    done = subprocess.run(["bash", "-c", f"{sys.executable} {script} > /dev/full"], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "Error: the output could not be written (No space left on device); free some space and run again\n"
    )


def test_a_closed_standard_output_loses_no_results_silently(script: str) -> None:
    done = subprocess.run(["bash", "-c", f"{sys.executable} {script} >&-"], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: standard output is closed")
