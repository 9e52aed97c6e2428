"""A plain installation in an empty environment: its size, the time of its import, and of a first transcript.

Builds the package, installs it with what it requires from the registry, and runs an exported model there.

    python -m scripts.bench.cold_start EXPORTED.folder RECORDING.wav
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

import click

from scripts.bench.machine import describe

ROOT = Path(__file__).resolve().parents[2]
#: What an empty environment holds already.
_NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence", "wheel", "__pycache__")
_IMPORT = "import time; start = time.perf_counter(); import speechxfer; print(time.perf_counter() - start)"
_TRANSCRIBE = "import sys, speechxfer as sx; print(sx.load(sys.argv[1]).transcribe(sys.argv[2]).text)"


@click.command()
@click.argument("model", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--runs", default=7, show_default=True, help="Processes, of whose times the median and the least are printed.")  # fmt: skip  # noqa: E501
def main(model: Path, recording: Path, runs: int) -> None:
    """Install the package in an empty environment and measure it."""
    with tempfile.TemporaryDirectory() as room:
        python = _installed(Path(room))
        sizes = _sizes(python)
        named = [str(model.resolve()), str(recording.resolve())]
        command = [str(python.with_name("speechxfer")), "transcribe", *named]
        _run([python, "-c", _TRANSCRIBE, *named])  # the files are in memory from now on
        found = {
            "size_mb": round(sum(sizes.values()) / 1e6, 1),
            "largest_mb": {name: round(sizes[name] / 1e6, 1) for name in sorted(sizes, key=sizes.__getitem__)[:-9:-1]},
            "import_s": _summary([float(_run([python, "-c", _IMPORT])) for _ in range(runs)]),
            "python_s": _summary([_wall_s([python, "-c", "pass"]) for _ in range(runs)]),
            "transcript_s": _summary([_wall_s([python, "-c", _TRANSCRIBE, *named]) for _ in range(runs)]),
            "command_s": _summary([_wall_s(command) for _ in range(runs)]),
            "help_s": _summary([_wall_s([command[0], "--help"]) for _ in range(runs)]),
            "machine": describe(),
        }
    click.echo(json.dumps(found, indent=2))


def _installed(room: Path) -> Path:
    """The interpreter of a new environment with the package."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", room / "wheel", ROOT], check=True)
    venv.create(room / "venv", with_pip=True)
    python = room / "venv/bin/python"
    (wheel,) = (room / "wheel").iterdir()
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return python


def _sizes(python: Path) -> dict[str, int]:
    """Bytes of what stands in site-packages, by its name there."""
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    (folder,) = _run([python, "-c", code]).split("\n")
    return {
        path.name: sum(file.lstat().st_size for file in [path, *path.rglob("*")])
        for path in Path(folder).iterdir()
        if not path.name.startswith(_NOT_OURS)
    }


def _run(command: Sequence[str | Path]) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout.strip()


def _wall_s(command: Sequence[str | Path]) -> float:
    """How long a process lasts."""
    start = time.perf_counter()
    _run(command)
    return time.perf_counter() - start


def _summary(times: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(times), 3), "least": round(min(times), 3)}


if __name__ == "__main__":
    main()
