"""A short run on tones, whose settings tests lay theirs over."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import build, merge

TIMINGS = ("training_s", "dev_s", "waited")


class Heard(sx.Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)

    def __contains__(self, part: str) -> bool:
        return any(part in message for message in self.messages)


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices("abc", k=chance.randint(1, 3))) + " a" for _ in range(count)]


class Runs:
    """Runs of the same short job with other settings, each in a folder of its own."""

    def __init__(self, base: dict[str, Any], folder: Path) -> None:
        self.base, self.folder = base, folder

    def config(self, name: str, *layers: dict[str, Any]) -> sx.FinetuneConfig:
        return build(sx.FinetuneConfig, merge([self.base, *layers, {"output": str(self.folder / name)}]))

    def run(self, name: str, *layers: dict[str, Any], resume: bool = False) -> Heard:
        heard = Heard()
        sx.finetune(self.config(name, *layers), resume=resume, progress=heard)
        return heard

    def metrics(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        return [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]

    def losses(self, name: str) -> list[float]:
        return [line["loss"] for line in self.metrics(name)]


@pytest.fixture
def runs(corpus: Callable[..., Path], whisper_folder: Path, tmp_path: Path) -> Runs:
    return Runs(
        {
            "model": str(whisper_folder),
            "train": str(corpus("train", texts(24, 1))),
            "dev": str(corpus("dev", texts(4, 2))),
            "device": "cpu",
            "plan": {"train_top": 1, "encoder_lr": 1e-2, "head_lr": 1e-2},
            "training": {"epochs": 3, "batch_s": 4.0, "cache_dir": str(tmp_path / "cache")},
        },
        tmp_path,
    )
