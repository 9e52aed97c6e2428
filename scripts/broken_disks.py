"""Every write of every command fails once: on a full disk, with an input/output error, in a read-only folder.

    python -m scripts.broken_disks

Each command is run again and again in this process, and the first, second, third … call that opens, makes, renames or
flushes a file below its output fails as on a broken disk, until a run gets through. Each failure has to be one line
that names a path and what to do, with nothing half-written left, and the command has to work once the disk does. The
writes of libraries that are not Python (weights) are reached by real disks: a small tmpfs, or `/dev/full`.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner, Result

from scripts.fuzz.model_files import tiny_model
from scripts.tiny_corpus import corpus
from speechxfer.cli import main as speechxfer
from speechxfer.runs import RunFolder

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
_WRITES = {"os.mkdir": 0, "os.rename": 1, "os.truncate": 0, "os.link": 1, "os.symlink": 1}


@dataclass
class Faults:
    """The write that fails, of those below a folder; audit hooks cannot be removed, so there is one."""

    folder: Path | None = None
    #: Writes until the one that fails, and how it does.
    left: int = 0
    error: int = 0
    #: Where it failed; None while it has not.
    hit: str | None = None

    def write(self, path: object) -> None:
        """Count a write, and let it fail where it is its turn."""
        if self.folder is None or not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fsdecode(path)
        if not name.startswith(str(self.folder)):
            return
        self.left -= 1
        if self.left == 0:
            self.hit = name
            raise OSError(self.error, os.strerror(self.error), name)


FAULTS = Faults()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if FAULTS.folder is None:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            FAULTS.write(path)
    elif event in _WRITES and not (event == "os.mkdir" and os.path.lexists(arguments[0])):  # which only finds it there
        FAULTS.write(arguments[_WRITES[event]])


@contextmanager
def failing(folder: Path, number: int, error: int) -> Iterator[Faults]:
    """The write of this number below a folder fails; flushing counts as one."""
    flush = os.fsync

    def fsync(fd: Any) -> None:
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        if not os.path.isdir(path):  # noqa: PTH112  # whose names are flushed as far as the file system can
            FAULTS.write(path)
        flush(fd)

    FAULTS.folder, FAULTS.left, FAULTS.error, FAULTS.hit = folder, number, error, None
    os.fsync = fsync
    try:
        yield FAULTS
    finally:
        os.fsync = flush
        FAULTS.folder = None


sys.addaudithook(_hook)


@dataclass(frozen=True)
class Command:
    """A command line whose output lies below `out`."""

    name: str
    arguments: Callable[[Path, Path], list[str]]
    #: Every how manieth write is made to fail.
    every: int = 1


def commands(model: str, run: Path | None = None) -> list[Command]:
    """Those that write, given a model that computes quickly."""

    def finetune(data: Path, out: Path) -> list[str]:
        splits = [f"--{name}={data / f'{name}.jsonl'}" for name in ("train", "dev", "test")]
        return ["finetune", f"--model={model}", *splits, f"--output={out / 'run'}", "--epochs=1", "--device=cpu"]

    found = [
        Command("manifest from-folder", lambda data, out: ["manifest", "from-folder", str(data), str(out / "a.jsonl")]),
        Command(
            "manifest split",
            lambda data, out: [
                "manifest",
                "split",
                str(data / "train.jsonl"),
                f"--output={out}",
                "--dev=0.3",
                "--test=0.3",
                "--allow-shared-text",
            ],
        ),
        Command("check", lambda data, out: ["check", str(data / "train.jsonl"), f"--json={out / 'found.json'}"]),
        Command(
            "lm train", lambda data, out: ["lm", "train", str(data / "train.jsonl"), f"--output={out / 'lm.arpa'}"]
        ),
        Command("finetune", finetune, every=7),
    ]
    if run is None:
        return found
    adapted, audio = str(RunFolder(run).model), "test0.wav"
    return [
        *found,
        Command("transcribe", lambda data, out: ["transcribe", adapted, str(data / audio), f"--output-dir={out}"]),
        Command(
            "evaluate",
            lambda data, out: [
                "evaluate",
                adapted,
                str(data / "test.jsonl"),
                f"--predictions={out / 'p.jsonl'}",
                f"--output={out / 'e.json'}",
            ],
        ),
        Command(
            "calibrate",
            lambda data, out: ["calibrate", adapted, f"--dev={data / 'dev.jsonl'}", f"--output={out / 'm'}"],
        ),
        Command(
            "transcribe --output",
            lambda data, out: ["transcribe", adapted, str(data / "test.jsonl"), f"--output={out / 'rows'}"],
        ),
        Command(
            "align",
            lambda data, out: [
                "align",
                str(data / audio),
                "a b",
                f"--model={adapted}",
                "--least-matched=0",
                f"--output={out / 'words.json'}",
                f"--mismatches={out / 'differ.jsonl'}",
            ],
        ),
        Command(
            "compare",
            lambda data, out: ["compare", adapted, adapted, str(data / "test.jsonl"), f"--output={out / 'c.json'}"],
        ),
        Command(
            "suggest",
            lambda data, out: [
                "suggest",
                adapted,
                str(_without_texts(data)),
                "--count=2",
                f"--output={out / f'next{len(list(out.iterdir()))}.jsonl'}",
            ],
        ),
        Command(
            "interpolate",
            lambda _data, out: [
                "interpolate",
                str(shutil.copytree(run, out / "run", dirs_exist_ok=True)),
                "--points=0,1",
                "--at=0.5",
                f"--output={out / f'mixed{len(list(out.iterdir()))}'}",
            ],
        ),
        Command(
            "plan",
            lambda data, out: [
                "plan",
                f"--model={model}",
                f"--train={data / 'train.jsonl'}",
                f"--dev={data / 'dev.jsonl'}",
                "--budget=5s",
                "--preset=feature-extraction",
                "--no-vary",
                f"--output={out / 'plan.toml'}",
            ],
        ),
        Command("report", lambda _data, out: ["report", str(shutil.copytree(run, out / "run", dirs_exist_ok=True))]),
        Command(
            "probe",
            lambda data, out: [
                "probe",
                f"--model={model}",
                f"--train={data / 'train.jsonl'}",
                f"--dev={data / 'dev.jsonl'}",
                f"--output={out / 'probe'}",
            ],
            every=2,
        ),
        Command(
            "export",
            lambda data, out: [
                "export",
                adapted,
                str(out / "onnx"),
                "--quantization=float32",
                f"--dev={data / 'dev.jsonl'}",
            ],
            every=3,
        ),
    ]


def _without_texts(data: Path) -> Path:
    """A manifest of test's recordings alone."""
    path = data / "unlabeled.jsonl"
    path.write_text("".join(json.dumps({"audio": f"test{number}.wav"}) + "\n" for number in range(3)))
    return path


def problem(result: Result, folder: Path) -> str | None:
    """What is wrong with how a command failed; None where it is as it should be."""
    if result.exception and not isinstance(result.exception, SystemExit):
        return f"raised {result.exception!r}"
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    if result.exit_code == 0 and "the run goes on without it" in result.stderr:  # what no model depends on
        return None
    if result.exit_code == 0:
        return "went on as if it had been written"
    if len(lines) != 1 or str(folder) not in lines[0] or "; " not in lines[0]:
        return f"printed {result.stderr[-500:]!r}; wanted one line with a path and what to do"
    left = list(folder.rglob("*.tmp"))
    return f"left {left[0]}" if left else None


def outcomes(command: Command, data: Path, errors: tuple[int, ...] = ERRORS) -> Iterator[tuple[str, str | None]]:
    """Each write that failed, and what was wrong with how it did."""
    for error in errors:
        number = 1
        while True:
            out = Path(tempfile.mkdtemp(prefix="broken-"))
            arguments = command.arguments(data, out)
            with failing(out, number, error) as faults:
                result = CliRunner().invoke(speechxfer, arguments)
            if faults.hit is None:
                shutil.rmtree(out)
                if result.exit_code:
                    yield "nothing failed", f"ended with {result.exit_code}: {result.stderr[-500:]!r}"
                break
            wrong = problem(result, out)
            if again := CliRunner().invoke(speechxfer, command.arguments(data, out)).exit_code:
                wrong = wrong or f"ended with {again} when it was run again"
            yield f"{errno.errorcode[error]} at write {number} ({Path(faults.hit).relative_to(out)})", wrong
            shutil.rmtree(out)
            number += command.every


@click.command()
@click.option("--only", help="Only this command.")
def main(only: str | None) -> None:
    """Let each write of each command fail, and print what was wrong with how it did."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, run, model = corpus(folder / "data"), folder / "run", str(tiny_model(folder / "pretrained"))
        first = commands(model)[-1]
        assert CliRunner().invoke(speechxfer, [*first.arguments(data, folder)]).exit_code == 0
        failures = tried = 0
        for command in commands(model, run):
            if only in (None, command.name):
                found = list(outcomes(command, data))
                wrong = [(what, why) for what, why in found if why]
                click.echo(f"{command.name}: {len(found)} writes failed, {len(wrong)} of them not as they should")
                for what, why in wrong:
                    click.echo(f"  {what}: {why}")
                failures, tried = failures + len(wrong), tried + len(found)
    click.echo(f"{tried} failed writes, {failures} not as they should")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
