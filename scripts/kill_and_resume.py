"""Kill a run without warning at random moments, again and again, and compare with one that was left alone.

    python scripts/kill_and_resume.py --kills 100

Each killed run is started again with the same command until it ends; then its losses, dev error rates and weights
have to be those of the uninterrupted run bit for bit, and no file may be torn or left over. The run is short and
tiny, but has everything: a cache on disk, copies at other speeds, dropout, SpecAugment, gradual unfreezing,
checkpoints inside epochs. Everything is made on the spot; nothing is read but this script.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile
import torch
from safetensors.torch import load_file
from transformers import WhisperConfig, WhisperForConditionalGeneration

import speechxfer as sx
from speechxfer.config import build
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json

_TIMINGS = ("training_s", "dev_s", "waited")
_TONES_HZ = {"a": 300.0, "b": 700.0, "c": 1300.0}


def tone(text: str) -> np.ndarray:
    """Each letter a tone of its own."""
    time_s = np.arange(2000) / 16_000
    letters = [0.3 * np.sin(2 * np.pi * _TONES_HZ[letter] * time_s) * np.hanning(2000) for letter in text]
    return np.concatenate(letters).astype(np.float32)


def write_corpus(folder: Path, name: str, count: int, chance: random.Random) -> str:
    lines = []
    for number in range(count):
        text = "".join(chance.choices("abc", k=chance.randint(2, 8)))
        soundfile.write(folder / f"{name}{number}.wav", tone(text), 16_000)
        lines.append(json.dumps({"audio": f"{name}{number}.wav", "text": text}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder / f"{name}.jsonl")


def write_model(folder: Path) -> str:
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=100, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_target_positions=32, bos_token_id=98,
        eos_token_id=98, pad_token_id=98, decoder_start_token_id=99, suppress_tokens=[], begin_suppress_tokens=[],
    )  # fmt: skip
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def settings(folder: Path) -> dict[str, Any]:
    chance = random.Random(1)
    return {
        "model": write_model(folder / "source"),
        "train": write_corpus(folder, "train", 80, chance),
        "dev": write_corpus(folder, "dev", 10, chance),
        "device": "cpu",
        "plan": {"train_top": 2, "unfreeze_every": 1, "encoder_lr": 1e-3, "head_lr": 1e-2},
        "training": {"epochs": 4, "batch_seconds": 4.0, "dropout": 0.1, "speed_copies": 1, "cache": "disk"},
    }


def start(base: dict[str, Any], folder: Path) -> int:
    """Begin or go on with the run in a folder, in a process of its own; its id."""
    if process := os.fork():
        return process
    training = {**base["training"], "cache_dir": str(folder / "cache"), "checkpoint_minutes": 0.002}
    config = build(sx.FinetuneConfig, {**base, "training": training, "output": str(folder / "run")})
    try:
        sx.finetune(config=config, resume=True)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(1)
    os._exit(0)


def result(folder: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Every epoch's figures but the timings, and the weights."""
    run = RunFolder(folder / "run")
    lines = [{key: value for key, value in line.items() if key not in _TIMINGS} for line in run.history]
    return lines, load_file(run.model / "model.safetensors")


def differences(folder: Path, reference: Path) -> list[str]:
    (losses, weights), (expected, expected_weights) = result(folder), result(reference)
    found = [] if losses == expected else [f"{folder}: other losses: {losses} instead of {expected}"]
    found += [
        f"{folder}: {name} differs" for name, value in weights.items() if not torch.equal(value, expected_weights[name])
    ]
    return found + [f"{path}: left over" for path in (folder / "run").rglob(".*")]


def ends_within(process: int, seconds: float) -> int | None:
    """The exit status of a process, or None if it still runs by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


@click.command()
@click.option("--kills", default=100, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(kills: int, seed: int, output: Path | None) -> None:
    torch.set_num_threads(1)  # so that a process can be copied
    work = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    base, chance = settings(work), random.Random(seed)
    started = time.monotonic()
    if ends_within(start(base, work / "whole"), 600) != 0:
        raise SystemExit("the uninterrupted run failed")
    length_s = time.monotonic() - started
    killed = runs = 0
    faults: list[str] = []
    with click.progressbar(length=kills, label="kills") as bar:
        while killed < kills:
            folder, runs = work / f"run{runs}", runs + 1
            while True:
                process = start(base, folder)
                status = ends_within(process, chance.uniform(0, length_s) if killed < kills else 600)
                if status is not None:
                    break
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                killed += 1
                bar.update(1)
            faults += differences(folder, work / "whole") if status == 0 else [f"{folder}: exit status {status}"]
    figures = {"kills": killed, "runs": runs, "run_s": round(length_s, 2), "faults": faults, "torch": torch.__version__}
    click.echo(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)
    if faults:
        raise SystemExit(f"{len(faults)} faults; everything is in {work}")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
