"""`--plan auto --time T` against every fixed preset in the same time, on several corpora, amounts of data and encoders.

    python -m scripts.bench.plan_in_time --time 5m --results FILE                    # what has a line is skipped
    python -m scripts.bench.plan_in_time --time 5m --corpus ivr-it --way auto --way fine-tune --clock processor
    python -m scripts.bench.plan_in_time --judge --results FILE                      # nothing is run; prints the tables

Each run has a process of its own and leaves one line of JSON. With `--clock processor` the limit counts processor time
of that process (give OMP_NUM_THREADS=1), so that other work on the machine changes little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import click

import speechxfer as sx
from scripts.study_transfer.cells import CORPORA, DATA, MODELS, Setting, part
from speechxfer.config.durations import seconds
from speechxfer.runs import RunFolder
from speechxfer.transfer.presets import PRESETS

#: The planner, and what it is compared with.
WAYS = ("auto", *(name for name in PRESETS if name != "from-scratch"))
#: Telephone prompts in other languages, beside the corpora of the study; every which test utterance is measured.
HEADS = CORPORA | {f"ivr-{language}": ("ctc", 1) for language in ("en", "es", "fr", "ru")}
_DONE = "done: "


@dataclass(frozen=True)
class Cell:
    """One run; `way` is "auto", a preset, or one with changes ("fine-tune encoder_lr=0.001 training.epochs=10")."""

    corpus: str
    minutes: float
    model: str
    time: str
    way: str
    seed: int
    clock: str

    @property
    def setting(self) -> tuple[str, float, str, str, str]:
        return self.corpus, self.minutes, self.model, self.time, self.clock


def run(cell: Cell) -> dict[str, Any] | None:
    """Train and measure in the time given; None where the corpus is smaller than what is asked for."""
    if cell.clock == "processor":
        time.monotonic = time.process_time
    begun = time.monotonic()
    head, every = HEADS[cell.corpus]
    with TemporaryDirectory() as work:
        train = part(Setting(cell.corpus, cell.minutes, cell.model), Path(work))
        if train is None:
            return None
        folder = DATA / cell.corpus
        sx.Manifest.read(folder / "test.jsonl")[::every].write(f"{work}/test.jsonl")
        preset, *changes = cell.way.split()
        given = dict(one.split("=") for one in changes)
        changed = {name if "." in name else f"plan.{name}": json.loads(value) for name, value in given.items()}
        greedy = {"language_model": "none"}  # what the encoder has learned is compared
        unknown = {"ctc.ignore_unknown": True} if head == "ctc" else {}
        begun = time.monotonic()
        made = sx.finetune(
            cell.model, train=train[0], dev=str((folder / "dev.jsonl").resolve()), test=f"{work}/test.jsonl",
            output=f"{work}/run", head=head, plan=preset, progress=sx.TerminalProgress(), device="cpu",
            config={"training.time": cell.time, "training.seed": cell.seed, **greedy, **changed, **unknown},
        )  # fmt: skip
        used = time.monotonic() - begun
        assert made.after is not None
        scores = made.after.scores.to_dict()
        plan = Path(work, "run-plan").with_suffix(".json")  # beside the run
        chosen = json.loads(plan.read_text()) if plan.exists() else {}
        written = RunFolder(made.folder)
        kept = ("step", "loss", "dev_loss", "dev_wer", "dev_cer", "dev_error")
        return {
            "used": round(used / seconds(cell.time, "--time"), 3), "steps": written.history[-1]["step"],
            "test": {name: scores[name] for name in ("wer", "cer", "accuracy") if name in scores},
            "dev": written.metrics["dev"],
            "history": [{name: value for name, value in line.items() if name in kept} for line in written.history],
            **{name: chosen[name] for name in ("choice", "spent_s", "prediction") if name in chosen},
        }  # fmt: skip


def apart(cell: Cell) -> dict[str, Any] | None:
    """`run` in a process of its own, with the processor time it took and how busy the machine was."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "scripts.bench.plan_in_time", "--cell", json.dumps(asdict(cell))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{cell}: the run failed (exit status {process.returncode})")
    last = next(line for line in reversed(output.splitlines()) if line.startswith(_DONE))
    line: dict[str, Any] | None = json.loads(last.removeprefix(_DONE))
    took = {"cpu_s": round(usage.ru_utime + usage.ru_stime, 1), "load": [round(load, 1), round(os.getloadavg()[0], 1)]}
    return line and {**asdict(cell), **line, **took}


def error(line: dict[str, Any]) -> float:
    """What is compared: words, or classes."""
    test = line["test"]
    return float(test["wer"]) if "wer" in test else 1.0 - float(test["accuracy"])


def judge(lines: Iterable[dict[str, Any]]) -> None:
    """By setting, the planner against the best preset; and against each preset used everywhere.

    Over several settings, mean errors are compared: the mean of ratios would be decided by settings of a few errors.
    """
    found: dict[tuple[Any, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        found[Cell(**{name: line[name] for name in Cell.__dataclass_fields__}).setting][line["way"]].append(error(line))
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for setting, ways in found.items():
        means = {way: mean(errors) for way, errors in ways.items()}
        click.echo(
            " | ".join(
                [
                    *map(str, setting),
                    *(f"{way} {value:.4f}" for way, value in sorted(means.items(), key=lambda one: one[1])),
                ]
            )
        )
        if "auto" in means:
            for way, value in means.items():
                pairs[way].append((means["auto"], value))
            fixed = min((value, way) for way, value in means.items() if way != "auto") if len(means) > 1 else None
            if fixed and fixed[0]:
                click.echo(f"    auto: {means['auto'] / fixed[0] - 1:+.1%} against {fixed[1]}")
    for way, errors_of in pairs.items():
        ours, theirs = map(mean, zip(*errors_of, strict=True))
        if way != "auto":
            click.echo(f"auto against {way} everywhere: {ours / theirs - 1:+.1%} in {len(errors_of)} settings")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@click.command()
@click.option("--time", "times", multiple=True, default=("5m",), show_default=True, help="May be repeated.")
@click.option("--corpus", "corpora", multiple=True, type=click.Choice(sorted(HEADS)), help="Default: all.")
@click.option("--minutes", multiple=True, type=float, default=(0.0,), show_default=True, help="Of audio; 0: all.")
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True)
@click.option("--way", "ways", multiple=True, default=WAYS, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(1,), show_default=True)
@click.option("--clock", type=click.Choice(["wall", "processor"]), default="wall", show_default=True)
@click.option("--results", type=click.Path(path_type=Path), help="One line of JSON a run; what has one is skipped.")
@click.option("--judge", "judging", is_flag=True, help="Only print what the results say.")
@click.option("--cell", "given", hidden=True, help="Run one in this process.")
def main(
    times: Sequence[str], corpora: Sequence[str], minutes: Sequence[float], models: Sequence[str],
    ways: Sequence[str], seeds: Sequence[int], clock: str, results: Path | None, judging: bool, given: str | None,
) -> None:  # fmt: skip
    """Run what has no line yet."""
    if given:
        click.echo(f"{_DONE}{json.dumps(run(Cell(**json.loads(given))))}")
        return
    results = results or Path("comparison.jsonl")
    if judging:
        judge(read(results))
        return
    cells = [
        Cell(corpus, amount, model, limit, way, seed, clock)
        for seed in seeds for limit in times for amount in minutes for corpus in corpora or sorted(HEADS)
        for model in models for way in ways
    ]  # fmt: skip
    for number, cell in enumerate(cells, start=1):
        if any(asdict(cell).items() <= line.items() for line in read(results)):
            continue
        if (line := apart(cell)) is None:
            continue
        with results.open("a") as file:
            file.write(f"{json.dumps(line)}\n")
        where = f"{number}/{len(cells)} {cell.corpus}, {cell.model}, {cell.way}"
        click.echo(f"{where}: {line['test']} in {line['used']:.3f} of {cell.time}", err=True)


if __name__ == "__main__":
    main()
