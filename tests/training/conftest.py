"""A short run on tones, whose settings tests lay theirs over."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile

import speechxfer as sx
from speechxfer.config import build, merge
from tests.conftest import made_once, tone

TIMINGS = ("training_s", "dev_s", "waited")


class Log(sx.Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
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

    def run(
        self, name: str, *layers: dict[str, Any], resume: bool = False, callbacks: Sequence[sx.Callback] = ()
    ) -> Log:
        log = Log()
        sx.finetune(config=self.config(name, *layers), resume=resume, progress=log, callbacks=callbacks)
        return log

    def metrics(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        return [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]

    def losses(self, name: str) -> list[float]:
        return [line["loss"] for line in self.metrics(name)]


class RaiseAt(sx.Callback):
    """Raises after a step; `KeyboardInterrupt` stands for Ctrl-C."""

    def __init__(self, step: int, error: BaseException | type[BaseException] = KeyboardInterrupt) -> None:
        self.step, self.error = step, error

    def on_step_end(self, state: sx.TrainingState) -> None:
        if state.step == self.step:
            raise self.error


def interrupted(runs: Runs, name: str, at_step: int, *layers: dict[str, Any]) -> None:
    """Stop a run after a step as Ctrl-C does."""
    with pytest.raises(KeyboardInterrupt):
        runs.run(name, *layers, callbacks=[RaiseAt(at_step)])


@pytest.fixture
def runs(corpus: Callable[..., Path], whisper_folder: Path, tmp_path: Path) -> Runs:
    return Runs(
        {
            "model": str(whisper_folder),
            "train": str(corpus("train", texts(24, 1))),
            "dev": str(corpus("dev", texts(4, 2))),
            "device": "cpu",
            "language_model": "none",
            "plan": {"train_top": 1, "encoder_lr": 1e-2, "head_lr": 1e-2},
            "training": {"epochs": 3, "batch_seconds": 4.0, "cache_dir": str(tmp_path / "cache")},
        },
        tmp_path,
    )


#: With which three tones are learned in seconds; a random encoder tells them apart only once it is trained as a whole.
LEARNING: dict[str, Any] = {
    "device": "cpu",
    "language_model": "none",
    "plan": {"freeze_frontend": False, "encoder_lr": 5e-3, "head_lr": 5e-3, "head_only_ratio": 0.0},
    "training": {"epochs": 12, "batch_seconds": 2.0, "dropout": 0.0},
    "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
}


@pytest.fixture(scope="session")
def learned(whisper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The run "first", which has learned three tones from "old" and was measured on "kept"; trained once for all tests.

    The model and these manifests are only read; tests that change something have folders of their own.
    """
    with made_once(tmp_path_factory, "learned") as (folder, is_new):
        manifests = {name: folder / f"{name}.jsonl" for name in ("old", "kept")}
        runs = Runs({**LEARNING, "train": str(manifests["old"]), "dev": str(manifests["kept"])}, folder)
        if is_new:
            written(folder, "old", texts(60, 3), 16_000)
            written(folder, "kept", texts(24, 4), 16_000)
            runs.run("first", {"model": str(whisper_folder)})
    runs.base["model"] = str(folder / "first" / "model")
    return runs


@pytest.fixture(scope="session")
def forgetful(learned: Runs, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The run "second" goes on from what was learned with lower tones and should retain those of the first.

    `base` holds its settings.
    """
    folder = tmp_path_factory.mktemp("forgetful")
    data = {
        "train": written(folder, "train", texts(40, 5), 11_000),
        "dev": written(folder, "dev", texts(16, 6), 11_000),
    }
    base = learned.base | data | {"retain": learned.base["dev"], "test": data["dev"]}
    runs = Runs({**base, "training": {**LEARNING["training"], "epochs": 6}}, folder)
    (folder / "second.txt").write_text("\n".join(runs.run("second").messages))
    return runs


def written(folder: Path, name: str, said: list[str], rate: int) -> str:
    """A manifest of tones, which sound lower where the rate is less than they were made for."""
    for number, text in enumerate(said):
        soundfile.write(folder / f"{name}{number}.wav", tone(text), rate)
    lines = [json.dumps({"audio": f"{name}{number}.wav", "text": text}) for number, text in enumerate(said)]
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return str(path)
