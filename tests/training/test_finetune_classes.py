"""The whole job with classes: tones that a tiny random encoder tells apart in seconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import build, merge
from speechxfer.errors import DataError
from speechxfer.heads.classification.head import ClassificationHead
from tests.conftest import tone
from tests.training.conftest import Log

Labeled = Callable[[str, Sequence[str]], Path]
LETTERS = {"low": "a", "middle": "b", "high": "c"}


@pytest.fixture
def labeled(tmp_path: Path) -> Labeled:
    """Writes a manifest whose utterances are the tones that their labels name, at some level and length."""

    def write(name: str, labels: Sequence[str]) -> Path:
        chance = np.random.default_rng(len(name))
        lines = []
        for number, label in enumerate(labels):
            letters = [LETTERS.get(part, "a") for part in label.split("|")]
            audio = f"{name}{number}.wav"
            waveform = chance.uniform(0.3, 1.0) * tone("".join(letters * chance.integers(1, 4)))
            soundfile.write(tmp_path / audio, waveform, 16_000)
            lines.append(json.dumps({"audio": audio, "label": label}))
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def settings(labeled: Labeled, whisper_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "model": str(whisper_folder), "output": str(tmp_path / "run"), "head": "classification", "device": "cpu",
        "train": str(labeled("train", ["low", "middle", "high"] * 12)),
        "dev": str(labeled("dev", ["high", "low", "middle"] * 3)),
        "test": str(labeled("test", ["middle", "high", "low"] * 2)),
        "plan": {"freeze_frontend": False, "encoder_lr": 1e-2, "head_lr": 1e-2},
        "training": {"epochs": 8, "batch_seconds": 2.0, "dropout": 0.0, "cache_dir": str(tmp_path / "cache")},
        "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
    }  # fmt: skip


SHORT: dict[str, Any] = {
    "plan": {"freeze_frontend": True, "train_top": 0},
    "training": {"epochs": 2, "batch_seconds": 8.0},
}


def config(settings: dict[str, Any], *layers: dict[str, Any]) -> sx.FinetuneConfig:
    return build(sx.FinetuneConfig, merge([settings, *layers]))


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "mean-deviation", "attentive"])
def test_it_learns_and_the_saved_model_tells(settings: dict[str, Any], pooling: str) -> None:
    run = sx.finetune(config=config(settings, {"classification": {"pooling": pooling, "label_smoothing": 0.05}}))
    assert run.before is None
    assert run.after is not None
    assert run.after.classes.accuracy == 1.0
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["dev"]["error"] == 0.0
    assert metrics["after"]["confusion"] == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert {"dev_error", "dev_macro_f1", "dev_cross_entropy"} <= lines[-1].keys()
    (prediction,) = sx.load(str(run.folder / "model")).predict([tone("bb")])
    assert getattr(prediction, "label", None) == "middle"


@pytest.mark.slow
def test_several_classes_at_once(settings: dict[str, Any], labeled: Labeled) -> None:
    labels = ["low", "middle", "high", "low|high", "middle|high", "low|middle"]
    data = {"train": str(labeled("several", labels * 8)), "dev": str(labeled("some", labels)), "test": None}
    several = {"classification": {"multi_label": True}, "training": {"epochs": 15}}
    run = sx.finetune(config=build(sx.FinetuneConfig, merge([settings, data, several])))
    assert json.loads((run.folder / "metrics.json").read_text())["dev"]["macro_f1"] > 0.9
    (prediction,) = sx.load(str(run.folder / "model")).predict([tone("acac")])
    assert getattr(prediction, "chosen", None) == ("high", "low")


def test_with_a_cache_and_without_the_losses_are_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = sx.finetune(config=config(settings, SHORT, {"training": {"epochs": 4}, "output": str(tmp_path / "whole")}))
    uncached = {"training": {"epochs": 4, "cache": "off"}, "output": str(tmp_path / "uncached")}
    other = sx.finetune(config=config(settings, SHORT, uncached))
    losses = [
        [json.loads(line)["loss"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        for run in (whole, other)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)  # what is kept is kept in half precision


@pytest.mark.slow
def test_a_head_for_the_same_classes_is_kept(settings: dict[str, Any], tmp_path: Path) -> None:
    first = sx.finetune(config=config(settings))
    log = Log()
    again = {"model": str(first.folder / "model"), "output": str(tmp_path / "second")}
    second = sx.finetune(config=config(settings, SHORT, again), progress=log)
    assert "has a head for these classes, which is kept" in log
    assert second.after is not None
    assert second.after.classes.accuracy == 1.0


def test_classes_weigh_alike_on_request(settings: dict[str, Any], labeled: Labeled) -> None:
    train = labeled("unequal", ["low"] * 12 + ["middle"] * 4 + ["high"] * 4)
    run = sx.finetune(config=config(settings, SHORT, {"train": str(train), "classification": {"class_weights": True}}))
    assert isinstance(run.model.head, ClassificationHead)
    assert run.model.head.class_weights is not None
    assert run.model.head.class_weights.tolist() == pytest.approx([9 / 7, 3 / 7, 9 / 7])


def test_a_class_that_training_lacks_is_reported_before_the_work(settings: dict[str, Any], labeled: Labeled) -> None:
    dev = labeled("odd", ["low", "shrill"])
    with pytest.raises(DataError, match=r"odd\.jsonl:2: label 'shrill' is not one of .*: high, low, middle \(1 of 2"):
        sx.finetune(config=config(settings, SHORT, {"dev": str(dev)}))
    assert not Path(settings["output"]).exists()


def test_a_class_with_one_example_is_reported_with_its_line(settings: dict[str, Any], labeled: Labeled) -> None:
    train = labeled("single", [*["low", "middle"] * 4, "high"])
    log = Log()
    sx.finetune(config=config(settings, SHORT, {"train": str(train)}), progress=log)
    (message,) = [message for message in log.messages if "single training utterance" in message]
    assert message.startswith("1 of 3 classes")
    assert "'high'" in message
    assert "single.jsonl:9" in message


def test_a_run_that_names_one_class_only_is_reported(
    settings: dict[str, Any], labeled: Labeled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bias for one class that the rate is far too small to repair."""
    real = ClassificationHead.__init__

    def biased(head: ClassificationHead, *arguments: Any, **options: Any) -> None:
        real(head, *arguments, **options)
        torch.nn.init.constant_(head.classifier.bias, 0.0)
        torch.nn.init.constant_(head.classifier.bias[:1], 10.0)

    monkeypatch.setattr(ClassificationHead, "__init__", biased)
    log = Log()
    stuck = {"plan": {**SHORT["plan"], "head_lr": 1e-9}, "training": {"epochs": 5, "batch_seconds": 8.0}}
    sx.finetune(config=config(settings, stuck), progress=log)
    assert "warning: epoch 4: 100% of dev are called the same class" in log


def test_transcripts_without_labels_are_reported(settings: dict[str, Any], corpus: Callable[..., Path]) -> None:
    with pytest.raises(
        DataError, match=r"none of its 2 utterances can be used.*2 have no label.*wanted the class of texts0\.wav"
    ):
        sx.finetune(config=config(settings, SHORT, {"train": str(corpus("texts", ["a", "b"]))}))


def run_command(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_whole_way_on_the_command_line(settings: dict[str, Any], tmp_path: Path) -> None:
    run = sx.finetune(config=config(settings))
    model, picture = str(run.folder / "model"), tmp_path / "confusion.png"
    status, out, error = run_command("evaluate", model, settings["test"], "--confusion", str(picture))
    assert status == 0, error
    assert json.loads(out)["accuracy"] == 1.0
    assert "precision" in error
    assert "accuracy 1.000" in error
    assert picture.read_bytes().startswith(b"\x89PNG")
    status, out, _ = run_command(
        "classify", model, str(tmp_path / "test0.wav"), str(tmp_path / "test1.wav"), "--top", "1"
    )
    assert status == 0
    assert [line.rpartition(": ")[2].split()[0] for line in out.splitlines()] == ["middle", "high"]
    status, _, error = run_command("transcribe", model, str(tmp_path / "test0.wav"))
    assert (status, "speechxfer classify" in error) == (2, True)


def test_a_picture_of_what_is_no_classifier_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    status, _, error = run_command("evaluate", "./model", settings["test"], "--confusion", "confusion.jpg")
    assert (status, "ends in .png" in error) == (2, True)
