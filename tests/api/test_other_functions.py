"""The functions beside `finetune`: each does in Python what its command does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from tests.conftest import tone


def rows(*texts: str, **columns: Any) -> list[dict[str, Any]]:
    return [{"audio": tone(text), "sample_rate": 16_000, "text": text, **columns} for text in texts]


def test_check_finds_what_is_wrong_with_data_in_memory() -> None:
    silent = {"audio": tone("") * 0, "sample_rate": 16_000, "text": "a"}
    report = sx.check([*rows("ab", "c"), silent], rows("ab"), workers=1)
    kinds = {finding.kind for finding in report.findings}
    assert {"silent", "text-in-both"} <= kinds
    assert report.lines == {"train": 3, "others[0]": 1}


def test_check_works_in_a_script_without_a_main_guard(tmp_path: Path, corpus: Callable[..., Path]) -> None:
    """A process that decodes would run the script again; only who asks for processes has to think of it."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import speechxfer as sx\ntrain = {str(corpus('train', ['ab', 'c']))!r}\n"
        "print(sx.check(train).lines)\ntry:\n    sx.check(train, workers=2)\n"
        "except sx.ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[0].endswith("train.jsonl': 2}")
    assert lines[-1].startswith("workers=2: ")
    assert '`if __name__ == "__main__":`' in lines[-1]


def test_split_keeps_speakers_together() -> None:
    data = [one for speaker in range(10) for one in rows("ab", "c", speaker=f"s{speaker}")]
    for number, one in enumerate(data):
        one["audio"] = one["audio"] * (1 - number / 40)  # the same recording would stay in one split
    made = sx.split(data, dev=0.2, test=0.2, allow_shared_text=True)
    speakers = {name: {one.speaker for one in part} for name, part in made.items()}
    assert sum(map(len, speakers.values())) == 10
    assert sum(map(len, made.values())) == 20
    with pytest.raises(sx.ConfigError, match=r"1 for dev and 0\.1 for test"):
        sx.split(data, dev=1.0)


@pytest.mark.slow
def test_probe_and_plan_take_data_in_memory(whisper_folder: Path, tmp_path: Path) -> None:
    train, dev = rows("ab", "ca", "bb", "ac", "cb", "a b"), rows("ab", "ca")
    found, similar = sx.probe(
        str(whisper_folder), train=train, dev=dev, layers=[0, 2], device="cpu", output=tmp_path / "p"
    )
    assert [row.seam for row in found.rows] == [None, 0, 2]
    assert similar.verdict
    assert (tmp_path / "p" / "probe.json").is_file()
    given: dict[str, Any] = {"device": "cpu", "training": {"epochs": 1, "batch_seconds": 4.0}}
    made = sx.plan(
        str(whisper_folder), train=train, dev=dev, budget="10m", presets=["feature-extraction"], vary=False,
        output=tmp_path / "plan.toml", **given,
    )  # fmt: skip
    assert made.choice.preset == "feature-extraction"
    assert made.settings()["training"]["epochs"] == 1
    assert (tmp_path / "plan.html").is_file()


def test_between_before_and_after(whisper_folder: Path, tmp_path: Path, corpus: Callable[..., Path]) -> None:
    train, dev = corpus("train", ["ab", "c a", "bb"]), corpus("dev", ["a", "b"])
    run = sx.finetune(
        whisper_folder, train=train, dev=dev, output=tmp_path / "run", plan={"train_top": 1}, device="cpu",
        training={"epochs": 1},
    )  # fmt: skip
    curve = sx.interpolate(run, points=[0.5], at=0.5, output=tmp_path / "half", device="cpu")
    assert [point.alpha for point in curve.points] == [0.0, 0.5, 1.0]
    assert sx.load(str(tmp_path / "half"), device="cpu").head.task == "transcription"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sx.plan([], train="t.jsonl", dev="d.jsonl"), "models is empty"),
        (lambda: sx.plan("m", train="t.jsonl", dev="d.jsonl", budget="soon"), "budget is 'soon'; wanted a time"),
        (lambda: sx.plan("m", train="t", dev="d", output="plan.txt"), "wanted a name that ends in .toml"),
        (lambda: sx.plan("m", train="t", dev="d", **{"plan.train_top": 1}), "is what the plan is to find"),
        (lambda: sx.probe("m", train="t", dev="d", head="tagger"), "head is 'tagger'; wanted one of ctc, class"),
        (lambda: sx.probe("m", train="t", dev="d", sample_s=0), "wanted seconds, at least 1"),
        (lambda: sx.interpolate("none", at=0.5, keep_gain=0.9), "give one of them"),
        (lambda: sx.interpolate(3), "run is 3; wanted a Run, or the path of its folder"),
        (lambda: sx.interpolate("none", points=[2.0]), "alpha is 2; wanted 0"),
        (lambda: sx.report(3), "run is 3; wanted a Run"),
        (lambda: sx.report("none"), "none: there is no such folder"),
        (lambda: sx.evaluate(3, rows("a")), "model is 3; wanted a SpeechModel, a Run"),
        (lambda: sx.evaluate("m", rows("a"), "best"), "best"),
        (lambda: sx.evaluate("m", 3), "data is 3, of type int; wanted the path"),
    ],
)
def test_wrong_values_are_refused_where_they_are_given(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(sx.ConfigError, match=message):
        call()


def test_names_that_lead_nowhere_are_reported_before_torch(tmp_path: Path) -> None:
    with pytest.raises(sx.CheckpointError):
        sx.export("./none", tmp_path / "out")
    with pytest.raises(sx.CheckpointError):
        sx.compare("./none", "./none", rows("a"))
