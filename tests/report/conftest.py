"""Run folders as `finetune` leaves them, written by hand: no model is trained to look at a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import soundfile
import tomli_w

from speechxfer.config import FinetuneConfig, build, merge, to_dict
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.evaluation.comparison import compare_systems
from speechxfer.evaluation.results import compare
from speechxfer.runs import Environment, RunFolder, Sources
from speechxfer.training.sources import split_of
from tests.conftest import tone

SAID = ["a b c", "b c", "c a b", "b b", "a c c", "c b a", "a", "b a"]
BEFORE = ["x x x", "x", "x x", "", "x", "x y", "x", "y"]
AFTER = ["a b c", "b a c", "c b", "b b", "a c b", "c b a", "a", "b a"]


@dataclass
class Folder:
    """A run folder in the making: change what stands in it, then write the page."""

    path: Path
    corpus: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def manifest(self, name: str, rows: Sequence[dict[str, Any]]) -> Manifest:
        """Write a manifest whose audio is one short file."""
        self.corpus.mkdir(exist_ok=True)
        soundfile.write(self.corpus / "tone.wav", tone("abc"), 16_000)
        path = self.corpus / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"audio": "tone.wav", "duration": 0.5, **row}) + "\n" for row in rows))
        return Manifest.read(path)

    def config(self, **settings: Any) -> FinetuneConfig:
        """Write `config.toml`."""
        names = {name: str(self.corpus / f"{name}.jsonl") for name in ("train", "dev", "test")}
        usual = {"model": "org/tiny", **names, "output": str(self.path), "training": {"epochs": 20}}
        self.settings = merge([usual, self.settings, settings])
        config = build(FinetuneConfig, {name: value for name, value in self.settings.items() if value is not None})
        self.path.mkdir(exist_ok=True)
        (self.path / "config.toml").write_text(tomli_w.dumps(to_dict(config)))
        return config

    def write(self, name: str, value: Any) -> None:
        (self.path / name).write_text(json.dumps(value))

    def read(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    def update(self, name: str, **values: Any) -> None:
        self.write(name, {**self.read(name), **values})

    def epochs(self, count: int, **values: Sequence[float]) -> None:
        lines = [
            {
                "epoch": number + 1,
                "loss": 3.0 / (number + 1),
                **{name: column[number] for name, column in values.items()},
            }
            for number in range(count)
        ]
        (self.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def predicted(self, name: str, test: Manifest, texts: Sequence[str], *, multi_label: bool = False) -> None:
        """Write the predictions of the model "before" or "after", and the figures that follow from them."""
        if test[0].label is None:
            found = compare(test, [Hypothesis(text) for text in texts], TextNormalizer())
        else:
            labels = tuple(sorted({str(one.label) for one in test}))
            chosen = [text.split("|") if multi_label else [text] for text in texts]
            rows = [tuple(0.9 * (label in one) for label in labels) for one in chosen]
            found = compare(test, [Classification(labels, row, multi_label) for row in rows], TextNormalizer())
        run = RunFolder(self.path)
        run.write_predictions("test", "pre-trained" if name == "before" else "adapted", found)
        self.update("metrics.json", **{name: found.to_dict()})
        sides = [run.predictions("test", model) for model in ("pre-trained", "adapted")]
        if sides[0] and sides[1] and len(sides[0].results) == len(sides[1].results):
            self.update("metrics.json", comparison=compare_systems(("before", "after"), sides[0], sides[1]).to_dict(0))

    def sources(self) -> None:
        """Write the content of the manifests, as a run does when it begins."""
        manifests = {name: Manifest.read(self.corpus / f"{name}.jsonl") for name in ("train", "dev", "test")}
        RunFolder(self.path).write(Sources("digest", {name: split_of(one) for name, one in manifests.items()}))


@pytest.fixture
def empty(tmp_path: Path) -> Folder:
    """Manifests and settings, as a run has them before its first epoch ends."""
    folder = Folder(tmp_path / "run", tmp_path / "spoken-letters")
    people = [("ann", "f", 31), ("bob", "m", 52)]
    rows = []
    for number, text in enumerate(SAID):
        speaker, gender, age = people[number % 2]
        rows.append({"text": text, "speaker": speaker, "gender": gender, "age": age, "language": "it"})
    for name in ("train", "dev", "test"):
        folder.manifest(name, rows)
    folder.config()
    folder.sources()
    return folder


@pytest.fixture
def finished(empty: Folder) -> Folder:
    """A run of two epochs that wrote everything."""
    empty.epochs(2, dev_loss=[2.0, 1.0], dev_wer=[0.9, 0.2], dev_cer=[0.5, 0.1])
    dev = {"wer": 0.2, "cer": 0.1}
    empty.write("metrics.json", {"dev": dev, "best_epoch": 2, "epochs": 2, "steps": 20})
    test = Manifest.read(empty.corpus / "test.jsonl")
    empty.predicted("before", test, BEFORE)
    empty.predicted("after", test, AFTER)
    empty.write("plan.json", {"trained": 70, "total": 170, "columns": ["part", "state", "rate", "from epoch", "parameters"], "rows": [["layer 1", "frozen", "", "", "100"], ["ctc head", "trained", "0.003", "1", "70"]]})  # fmt: skip  # noqa: E501
    facts = {"python": "3.11.2", "torch": "2.11.0", "device": "cpu"}
    RunFolder(empty.path).write(Environment(facts, "speechxfer finetune --epochs 2"))
    (empty.path / "model").mkdir()
    (empty.path / "model" / "config.json").write_text("{}")
    return empty


@pytest.fixture
def classified(tmp_path: Path) -> Callable[[Sequence[str], Sequence[str]], Folder]:
    """A run of a classifier, from the labels of its test split and its predictions for it."""

    def make(labels: Sequence[str], predicted: Sequence[str]) -> Folder:
        folder = Folder(tmp_path / "classes", tmp_path / "commands")
        for name in ("train", "dev", "test"):
            test = folder.manifest(name, [{"label": label} for label in labels])
        folder.config(head="classification")
        folder.epochs(2, dev_error=[0.5, 0.25], dev_macro_f1=[0.5, 0.75])
        folder.write("metrics.json", {"dev": {"error": 0.25, "macro_f1": 0.75}, "best_epoch": 2, "epochs": 2})
        folder.predicted("after", test, predicted)
        return folder

    return make
