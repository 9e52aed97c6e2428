"""Whether both sides of `train_against_trainer` end with the same error rates: whole runs, several seeds, no timing.

    python -m scripts.bench.same_errors --row whisper-head-padded --utterances 113
    python -m scripts.bench.same_errors --row whisper-head-unpadded --seeds 3

Error rates are those of the last epoch on speech that decides nothing. One file a row is written.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from scripts.bench import sides
from scripts.bench.jobs import ROWS, Job
from scripts.bench.machine import command, describe
from scripts.bench.train_against_trainer import prepare
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"
SIDES: tuple[sides.Side, sides.Side] = ("ours", "peer")


def together(manifests: list[Path], path: Path) -> str:
    """One manifest of several."""
    sx.Manifest([utterance for manifest in manifests for utterance in sx.Manifest.read(manifest)]).write(path)
    return str(path)


@click.command()
@click.option("--row", "name", type=click.Choice([name for name in ROWS if name.startswith("whisper")]), required=True)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data/ivr-it"), show_default=True)
@click.option("--utterances", type=int, help="Every nth of the training half, this many (default: all).")
@click.option("--seeds", default=1, show_default=True)
@click.option("--epochs", type=int, help="Other than the row's.")
def main(name: str, data: Path, utterances: int | None, seeds: int, epochs: int | None) -> None:
    row = ROWS[name]
    row = replace(row, epochs=epochs or row.epochs)
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as work:
        measured = together([data / "dev.jsonl", data / "test.jsonl"], Path(work) / "measured.jsonl")
        row, job = prepare(
            row, Path(work), train=str(data / "train.jsonl"), dev=measured,
            utterances=utterances, dev_utterances=None, tiny=False,
        )  # fmt: skip
        job = replace(job, peer_workers=0)
        for seed in range(1, seeds + 1):
            outcome: dict[str, Any] = {"seed": seed}
            for side in SIDES:
                found = sides.run(side, replace(job, seed=seed, output=f"{work}/{side}{seed}"))
                outcome[side] = {"wer": found["wer"], "cer": found["cer"], "epochs": found["epochs"]}
                click.echo(f"{name}, seed {seed}, {side}: {outcome[side]}")
            runs.append(outcome)
            write_json(RESULTS / f"errors_{name}.json", _record(job, data.name, measured, runs))


def _record(job: Job, corpus: str, measured: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known after some seeds."""
    record: dict[str, Any] = {
        "corpus": corpus, "utterances": len(sx.Manifest.read(job.train)),
        "words": sum(len((utterance.text or "").split()) for utterance in sx.Manifest.read(measured)),
        "epochs": job.row.epochs, "runs": runs,
    }  # fmt: skip
    for rate in ("wer", "cer"):
        means = {side: statistics.fmean(outcome[side][rate] for outcome in runs) for side in SIDES}
        record[rate] = {side: round(mean, 4) for side, mean in means.items()}
    return record | {"machine": describe(), "command": command()}


if __name__ == "__main__":
    main()
