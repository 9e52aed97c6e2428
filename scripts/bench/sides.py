"""Both sides of a measurement, each in a process of its own, so that neither inherits anything of the other.

    python -m scripts.bench.sides ours|peer JOB.json RESULT.json

The measurements start it themselves.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import click

import speechxfer as sx
from scripts.bench.jobs import SCORED_BY, Job
from speechxfer.runs import RunFolder

Side = Literal["ours", "peer"]


def run(side: Side, job: Job) -> dict[str, Any]:
    """Run one side and return what it measured.

    Raises:
        click.ClickException: it failed; its last words are in the message.
    """
    folder = Path(job.output)
    folder.mkdir(parents=True, exist_ok=True)
    job_file, result_file = folder / "job.json", folder / "result.json"
    job.write(job_file)
    command = [sys.executable, "-m", "scripts.bench.sides", side, str(job_file), str(result_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{side} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    outcome: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
    return outcome


def ours(job: Job) -> dict[str, Any]:
    """`speechxfer.finetune` with its defaults; `seconds` are the frozen layers, decoding included, and all steps."""
    from scripts.bench.machine import peak_memory_gb

    row, folder = job.row, Path(job.output) / "run"
    # The peer trains everything at once.
    plan: dict[str, Any] = {"train_top": row.train_top} if row.train_top is not None else {"freeze_below": 0}
    plan["head_only_ratio"] = 0.0
    config = {
        "model": job.model, "train": job.train, "dev": job.dev, "output": str(folder), "device": job.device,
        "plan": {**plan, "freeze_frontend": True, "encoder_lr": row.encoder_lr, "head_lr": row.head_lr},
        # A cache of its own, so that nothing is left from an earlier round; no dropout, as in the peer's example.
        "training": {
            "epochs": row.epochs, "batch_seconds": row.batch_s, "dropout": 0.0, "seed": job.seed,
            "cache_dir": str(Path(job.output) / "cache"),
        },
        "augment": {"mask_time_prob": row.mask_share, "mask_feature_prob": 0.0},
        "head": row.head, "language_model": "none",
        "seq2seq": {"timestamp_ratio": 0.0, "label_smoothing": 0.0, "non_speech_ratio": 0.0},
        "text": {"scoring_normalizer": SCORED_BY[row.head]},
        "ctc": {
            "ignore_unknown": True, "units": "pieces" if row.pieces else "characters", "vocabulary_size": row.pieces,
        },
    }  # fmt: skip
    started = time.perf_counter()
    sx.finetune(config=_build(config), overwrite=folder.exists())
    whole = time.perf_counter() - started
    metrics, epochs = RunFolder(folder).metrics, RunFolder(folder).history
    seconds = metrics["seconds"]
    return {
        "seconds": round(seconds["prefix"] + seconds["training"], 2),
        "parts_s": {name: round(value, 2) for name, value in seconds.items()},
        "whole_job_s": round(whole, 2),
        "epochs": len(epochs),
        "steps": epochs[-1]["step"],
        "wer": round(epochs[-1]["dev_wer"], 4),
        "cer": round(epochs[-1]["dev_cer"], 4),
        "peak_memory_gb": peak_memory_gb(),
    }


def _build(values: dict[str, Any]) -> sx.FinetuneConfig:
    from speechxfer.config import build

    return build(sx.FinetuneConfig, values)


def _peer(job: Job) -> dict[str, Any]:
    from scripts.bench import peers

    return peers.train(job)


@click.command()
@click.argument("side", type=click.Choice(["ours", "peer"]))
@click.argument("job_file", type=click.Path(path_type=Path))
@click.argument("result_file", type=click.Path(path_type=Path))
def main(side: Side, job_file: Path, result_file: Path) -> None:
    job = Job.read(job_file)
    outcome = ours(job) if side == "ours" else _peer(job)
    result_file.write_text(json.dumps(outcome, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
