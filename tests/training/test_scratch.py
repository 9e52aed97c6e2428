"""Whether transfer helped: the same shape from random weights under the same budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import build, read_toml
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.evaluation.results import compare
from speechxfer.training.scratch import scratch_config, scratch_verdict
from speechxfer.transfer.presets import PRESETS
from tests.training.conftest import Runs, texts

SHORT: dict[str, Any] = {"training": {"epochs": 2}}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_same_shape_is_trained_from_random_weights(runs: Runs) -> None:
    log = runs.run("run", SHORT, {"compare_scratch": True})
    folder = runs.folder / "run"
    figures = read(folder / "metrics.json")
    assert figures["scratch"]["dev"] == read(folder / "scratch" / "metrics.json")["dev"]
    assert figures["scratch"]["verdict"] in figures["notes"]
    ours, theirs = (sx.load(str(path), device="cpu").state_dict() for path in (folder / "model", folder / "scratch" / "model"))  # fmt: skip  # noqa: E501
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    steps = [[line["step"] for line in runs.metrics(name)] for name in ("run", "run/scratch")]
    assert steps[0] == steps[1]  # the same budget
    assert "from scratch: the same shape with random weights, for as many epochs" in log
    settings = build(sx.FinetuneConfig, read_toml(folder / "scratch" / "config.toml"))
    assert settings.plan.preset == "from-scratch"


@pytest.mark.slow
def test_a_finished_run_may_be_compared_later_and_goes_on_where_it_was(runs: Runs) -> None:
    runs.run("run", SHORT)
    before = runs.metrics("run")
    runs.run("run", SHORT, {"compare_scratch": True}, resume=True)
    assert runs.metrics("run") == before
    once = read(runs.folder / "run" / "metrics.json")["scratch"]
    runs.run("run", SHORT, {"compare_scratch": True}, resume=True)
    again = read(runs.folder / "run" / "metrics.json")["scratch"]
    assert (once["dev"], once["verdict"]) == (again["dev"], again["verdict"])


def test_layers_that_are_left_out_are_left_out_of_both(runs: Runs) -> None:
    config = runs.config("run", {"plan": {"preset": "lower-layers", "train_top": 1}, "retain": "old.jsonl"})
    other = scratch_config(config, 4)
    assert (other.plan.preset, other.plan.drop_top, other.plan.train_top) == ("from-scratch", 2, None)
    assert other.retain is None
    assert Path(other.output) == Path(config.output) / "scratch"


@pytest.mark.parametrize(
    ("scratch", "transfer", "says", "verdict"),
    [
        ("a b", "a", "Transfer was negative: the same shape without anything learned before does better", "worse"),
        ("a", "a b", "Transfer helped: transfer is better than from scratch: WER 0.500 -> 0.000", "better"),
        ("a", "a", "Transfer made no difference that this data shows", "same"),
    ],
)
def test_the_verdict_is_plain(
    corpus: Callable[..., Path], scratch: str, transfer: str, says: str, verdict: str
) -> None:
    manifest, normalizer = Manifest.read(corpus("test", ["a b"] * 8)), TextNormalizer()
    sides = [compare(manifest, [Hypothesis(text)] * 8, normalizer) for text in (scratch, transfer)]
    found = scratch_verdict(sides[0], sides[1])
    assert found["verdict"].startswith(says)
    assert found["transfer_is"] == verdict


@pytest.mark.slow
def test_negative_transfer_is_found(runs: Runs, corpus: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A head alone on random, frozen layers learns nothing that the whole model cannot."""
    splits = {"train": str(corpus("many", texts(60, 1))), "dev": str(corpus("test", texts(24, 7)))}
    hopeless: dict[str, Any] = {"plan": {"train_top": 0, "head_lr": 1e-5}, "compare_scratch": True}
    for name in ("encoder_lr", "head_lr"):
        monkeypatch.setitem(PRESETS["from-scratch"], name, 1e-2)
    longer = {"training": {"epochs": 8, "batch_seconds": 2.0, "dropout": 0.0}}
    runs.run("run", hopeless, splits, longer)
    found = read(runs.folder / "run" / "metrics.json")["scratch"]
    assert found["verdict"].startswith("Transfer was negative")
    assert found["dev"]["wer"] < 1.0
