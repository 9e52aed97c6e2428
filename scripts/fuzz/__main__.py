"""Fuzz what the package reads, and print a table: inputs, coverage, causes of violations.

    pip install atheris
    python -m scripts.fuzz --runs 1000000 --findings /tmp/findings

Each target runs in a process of its own until its part of the inputs or of the time is used up. An input that breaks
the contract (`contract.py`) is kept in the folder of findings; once its cause is fixed, it belongs in
`tests/fuzz/found/TARGET/`, where the tests read it. Branches are those of the package that a target reached: by its
seeds, and at the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from scripts.fuzz.contract import Target
from scripts.fuzz.targets import TARGETS

_COVERAGE = re.compile(r"^#\d+\s+\w+\s+cov: (\d+)", re.MULTILINE)
_RUNS = re.compile(r"stat::number_of_executed_units: *(\d+)")
_SLOWEST = re.compile(r"^slowest: ([\d.]+) s", re.MULTILINE)
_CRASH = re.compile(r"Test unit written to (\S+)")
#: Most restarts of a target whose process was killed by an input.
_RESTARTS = 3


@dataclass
class Total:
    """The figures of one target."""

    runs: int = 0
    seeds: int = 0
    coverage: int = 0
    slowest_s: float = 0.0
    found: tuple[str, ...] = ()

    def row(self, name: str) -> str:
        """A row of the table."""
        figures = f"{self.runs:,} | {self.seeds:,} | {self.coverage:,} | {self.slowest_s:.2f} | {len(self.found)}"
        return f"| {name} | {figures} |"


def fuzzed(target: Target, runs: int, seconds: int, findings: Path) -> Total:
    """Fuzz one target; where an input kills the process, go on with the inputs that are left."""
    total = Total()
    for _ in range(_RESTARTS):
        command = [
            sys.executable,
            "-m",
            "scripts.fuzz.one_target",
            target.name,
            str(runs - total.runs),
            str(seconds),
            str(findings),
        ]
        ended = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
        log = ended.stderr.decode(errors="replace")
        coverage = [int(one) for one in _COVERAGE.findall(log)] or [0]
        total.runs += sum(map(int, _RUNS.findall(log)))
        total.seeds, total.coverage = total.seeds or coverage[0], max(total.coverage, *coverage)
        total.slowest_s = max([total.slowest_s, *map(float, _SLOWEST.findall(log)[1:])])
        if ended.returncode == 0:
            break
        if not _CRASH.search(log):
            click.echo(log[-3000:], err=True)
            break
    kept = sorted(path for path in findings.glob(f"{target.name}-*") if path.suffix != ".why")
    total.found = tuple(path.name for path in kept)
    return total


@click.command()
@click.option("--runs", default=100_000, show_default=True, help="Inputs of all targets together.")
@click.option("--seconds", default=600, show_default=True, help="Seconds of all targets together, at most.")
@click.option("--target", "names", multiple=True, type=click.Choice([target.name for target in TARGETS]), help="Only this target; may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--findings", type=click.Path(path_type=Path), default="findings", show_default=True, help="Folder for inputs that break the contract.")  # fmt: skip  # noqa: E501
def main(runs: int, seconds: int, names: tuple[str, ...], findings: Path) -> None:
    """Fuzz the targets one after the other."""
    chosen = [target for target in TARGETS if not names or target.name in names]
    weights = sum(target.weight for target in chosen)
    everything = Total()
    click.echo(
        "| target | inputs | branches by seeds | branches | slowest (s) | violations |\n|---|---|---|---|---|---|"
    )
    for target in chosen:
        part = target.weight / weights
        total = fuzzed(target, max(1, round(runs * part)), max(1, round(seconds * part)), findings)
        click.echo(total.row(target.name))
        everything.runs += total.runs
        everything.found += total.found
        everything.slowest_s = max(everything.slowest_s, total.slowest_s)
    click.echo(
        f"\n{everything.runs:,} inputs, slowest {everything.slowest_s:.2f} s, {len(everything.found)} violations"
    )
    for one in everything.found:
        click.echo(f"  {one}")
    sys.exit(bool(everything.found))


if __name__ == "__main__":
    main()
