"""Runs with a limit of time: how well they keep it, and their errors beside those of a run that is stopped by a clock.

    python -m scripts.bench.time_limit --corpus data/ivr-it --settings recipes/ivr_prompts/ctc.toml --time 3m --time 10m
    python -m scripts.bench.time_limit --corpus data/spoken_digits --head classification --time 3m

Without settings it is the plain command: a model, a head and the manifests (train, dev and test.jsonl of the corpus).
"""

from __future__ import annotations

import json
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


def measured(settings: dict[str, Any], callbacks: list[sx.Callback], given: float) -> dict[str, Any]:
    """One run: its errors, and the time that it took."""
    begun = time.monotonic()
    run = sx.finetune(config=settings, callbacks=callbacks, progress=sx.TerminalProgress(), overwrite=True)
    used = time.monotonic() - begun
    history = RunFolder(run.folder).history
    assert run.after is not None
    return {
        "used_s": round(used, 1), "used_of_given": round(used / given, 3), "epochs": len(history),
        "steps": history[-1]["step"], "test": run.after.scores.summary,
    }  # fmt: skip


@click.command()
@click.option("--corpus", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--settings", "settings_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="wav2vec2-nano", show_default=True, help="Where there are no settings.")
@click.option("--head", default="ctc", show_default=True)
@click.option("--time", "times", multiple=True, required=True, help="Such as 3m; may be repeated.")
@click.option("--stopped", is_flag=True, help="Also run the epochs of the settings, stopped when the time is over.")
@click.option("--output", type=click.Path(path_type=Path), help="JSON file.")
def main(
    corpus: Path, settings_file: Path | None, model: str, head: str, times: tuple[str, ...], stopped: bool,
    output: Path | None,
) -> None:  # fmt: skip
    """Measure, and print a line of JSON for each run."""
    rows = []
    with tempfile.TemporaryDirectory() as work:
        splits = {name: str((corpus / f"{name}.jsonl").resolve()) for name in ("train", "dev", "test")}
        own = read_toml(settings_file) if settings_file else {"model": model}
        base = merge([own, {**splits, "head": head, "output": f"{work}/run"}])
        for limit in times:
            timed = merge([base, {"training": {"time": limit}}])
            row: dict[str, Any] = {"time": limit, "limited": measured(timed, [], seconds(limit, "--time"))}
            if stopped:
                # With as much left for the final measurement as the other one had planned for.
                allotment = RunFolder(f"{work}/run").allotment
                assert allotment is not None
                callback = Stop(time.monotonic() + seconds(limit, "--time") - allotment.after_s)
                row["stopped"] = measured(base, [callback], seconds(limit, "--time"))
            rows.append(row)
            click.echo(json.dumps(row))
    if output:
        write_json(output, {"machine": describe(), "command": command(), "corpus": corpus.name, "rows": rows})


if __name__ == "__main__":
    main()
