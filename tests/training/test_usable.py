"""A run learns from what can be learned from, reports the rest once, and fails where there is nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import tomli_w
from click.testing import CliRunner

from speechxfer.cli import main
from speechxfer.config import to_dict
from speechxfer.errors import AudioError, DataError, TrainingError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.training.step import TrainStep
from tests.conftest import tone
from tests.training.conftest import Runs

PLAIN: dict[str, Any] = {"training": {"dropout": 0.0, "epochs": 2}}
Lines = list[dict[str, Any]]


def lines_of(path: str | Path) -> Lines:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write(folder: Path, name: str, lines: Lines) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def good(runs: Runs) -> Lines:
    return lines_of(runs.base["train"])


@pytest.fixture
def written(runs: Runs) -> Callable[[str, Lines], str]:
    """Writes a manifest beside the audio of the runs."""
    folder = Path(runs.base["train"]).parent
    soundfile.write(folder / "click.wav", tone("a")[:1600], 16_000)
    soundfile.write(folder / "endless.wav", tone("a" * 300), 16_000)
    (folder / "letter.wav").write_text("Dear Sir or Madam, ...")
    return lambda name, lines: write(folder, name, lines)


#: Lines that nothing can be learned from, and what is said of them.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "too short": ({"audio": "click.wav", "text": "abc " * 200}, "are too short for their text and are not used"),
    "unreadable": ({"audio": "letter.wav", "text": "ab"}, "cannot be read and are not used"),
    "too long": ({"audio": "endless.wav", "text": "ab"}, "are longer than the 30 s that the model takes at once"),
    "no text": ({"audio": "click.wav"}, "have no text and are not used; the first is .*wanted the transcript"),
    "no text left": ({"audio": "click.wav", "text": None}, "have no text"),
}


@pytest.mark.slow
def test_a_line_that_teaches_nothing_counts_nowhere(
    runs: Runs, good: Lines, written: Callable[[str, Lines], str]
) -> None:
    """Everything is as if it were not there: bit for bit, wherever it stands and with characters of its own."""
    runs.run("without", PLAIN, {"train": written("good", good)})
    for kind, (line, said) in BAD.items():
        log = runs.run(kind, PLAIN, {"train": written("mixed", [*good[:5], line, *good[5:], line])})
        assert runs.metrics(kind) == runs.metrics("without"), kind
        (message,) = [message for message in log.messages if "are not used" in message]
        assert message.startswith("2 of 26 training utterances ")
        assert re.search(said, message)
        assert "mixed.jsonl:6: " in message


@pytest.mark.parametrize("kind", BAD)
def test_a_run_that_nothing_can_be_learned_from_is_refused_before_its_folder_is_taken(
    kind: str, runs: Runs, written: Callable[[str, Lines], str]
) -> None:
    line, said = BAD[kind]
    with pytest.raises(DataError, match=f"none of its 3 utterances can be used, so nothing would be learned: 3 {said}"):
        runs.run("run", {"train": written("bad", [line] * 3)})
    assert not (runs.folder / "run").exists()


def test_a_text_too_long_is_left_out_with_pieces(runs: Runs, good: Lines, written: Callable[[str, Lines], str]) -> None:
    runs.run("without", PLAIN)
    mixed = {"train": written("mixed", [*good, BAD["too short"][0]])}
    runs.run("pieces", PLAIN, mixed, {"training": {"device_batch_seconds": 1.5}})
    assert runs.losses("pieces") == pytest.approx(runs.losses("without"), abs=1e-4)


def test_an_utterance_that_turns_out_too_short_counts_neither_in_the_loss_nor_in_what_divides_it(
    runs: Runs, good: Lines, written: Callable[[str, Lines], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length is known only when it is read: a copy at another speed, a wrong duration in the manifest."""
    monkeypatch.setattr(CTCHead, "unusable", lambda *_arguments: None)
    step = {
        "training": {"batch_seconds": 1000.0, "dropout": 0.0, "epochs": 3, "warmup_ratio": 0.0},
        "augment": {"mask_time_prob": 0.0},
    }
    runs.run("without", step)
    log = runs.run("with", step, {"train": written("mixed", [*good, BAD["too short"][0]])})
    assert not any("too short" in message for message in log.messages)
    assert runs.losses("with") == pytest.approx(runs.losses("without"), rel=1e-5)
    assert [line["gradient_norm"] for line in runs.metrics("with")] == pytest.approx(
        [line["gradient_norm"] for line in runs.metrics("without")], rel=1e-4
    )


def test_dev_texts_that_cannot_be_aligned_do_not_dilute_its_loss(
    runs: Runs, written: Callable[[str, Lines], str]
) -> None:
    dev = lines_of(runs.base["dev"])
    runs.run("without", PLAIN)
    runs.run("with", PLAIN, {"dev": written("mixed", [*dev, {**BAD["too short"][0], "text": "abc" * 200}])})
    with_, without = ([line["dev_loss"] for line in runs.metrics(name)] for name in ("with", "without"))
    assert with_ == pytest.approx(without, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_a_file_that_turns_out_unreadable_is_left_out_and_reported(
    cache: str, runs: Runs, good: Lines, written: Callable[[str, Lines], str]
) -> None:
    """The manifest says how long it is, so its header is not opened before the work."""
    train = written("mixed", [*good, {"audio": "letter.wav", "text": "ab", "duration": 0.5}])
    log = runs.run("with", PLAIN, {"train": train, "training": {"cache": cache, "batch_seconds": 2.0}})
    (message,) = [message for message in log.messages if "cannot be read" in message]
    assert message.startswith("1 of 25 training utterances cannot be read and are not used; the first is ")
    assert "mixed.jsonl:25: " in message
    runs.run("without", PLAIN, {"training": {"cache": cache, "batch_seconds": 2.0}})
    labels = [json.loads(next((runs.folder / name / "checkpoints").glob("step-*/position.json")).read_text())["data"] for name in ("with", "without")]  # fmt: skip  # noqa: E501
    assert labels[0] != labels[1]
    runs.run("with", PLAIN, {"train": train, "training": {"cache": cache, "batch_seconds": 2.0}}, resume=True)


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_where_every_file_turns_out_unreadable_the_run_fails_and_leaves_nothing(
    cache: str, runs: Runs, written: Callable[[str, Lines], str]
) -> None:
    train = written("bad", [{"audio": "letter.wav", "text": "ab c", "duration": 0.5}] * 3)
    with pytest.raises((DataError, TrainingError), match=r"nothing (was|would be) learned"):
        runs.run("run", PLAIN, {"train": train, "training": {"cache": cache}})
    assert not (runs.folder / "run").exists()


@pytest.mark.parametrize("split", ["dev", "test", "retain"])
def test_what_is_measured_has_to_be_readable_before_the_work(
    split: str, runs: Runs, written: Callable[[str, Lines], str]
) -> None:
    bad = written("bad", [*lines_of(runs.base["dev"]), {"audio": "letter.wav", "text": "a", "duration": 0.5}])
    with pytest.raises(AudioError, match=r"bad\.jsonl:5: "):
        runs.run("run", {split: bad})
    assert not (runs.folder / "run").exists()


def test_a_split_without_a_word_is_refused_before_the_work(
    runs: Runs, good: Lines, written: Callable[[str, Lines], str]
) -> None:
    for text in ("", "...", " "):
        wordless = written("wordless", [{**line, "text": text} for line in good[:4]])
        for split in ("train", "dev", "test", "retain"):
            with pytest.raises(DataError, match=r"wordless\.jsonl: none of its 4 texts holds a (word|character) after"):
                runs.run("run", {split: wordless})
            assert not (runs.folder / "run").exists(), split
    runs.run("run", PLAIN)  # and the corrected command needs no --overwrite


def test_a_model_that_writes_already_does_not_learn_to_write_nothing(
    runs: Runs, good: Lines, written: Callable[[str, Lines], str]
) -> None:
    runs.run("first", PLAIN)
    wordless = written("wordless", [{**line, "text": "?"} for line in good])
    with pytest.raises(DataError, match="so the model would learn to write nothing"):
        runs.run("second", {"model": str(runs.folder / "first" / "model"), "train": wordless})


def test_some_texts_without_a_word_are_learned_as_silence(
    runs: Runs, good: Lines, written: Callable[[str, Lines], str]
) -> None:
    """Steps are of like length, so that some of them hold no other texts."""
    some = [{**line, "text": "…"} if number % 2 else line for number, line in enumerate(good)]
    dev = [*lines_of(runs.base["dev"]), {"audio": "click.wav", "text": ""}]
    runs.run("run", PLAIN, {"train": written("some", some), "dev": written("somedev", dev), "training": {"batch_seconds": 1.0}})  # fmt: skip  # noqa: E501
    assert all(0 < loss < 1000 for loss in runs.losses("run"))
    assert all(0 < line["gradient_norm"] < 1e4 for line in runs.metrics("run"))


def test_one_utterance_to_learn_from_and_one_to_measure_on(runs: Runs, written: Callable[[str, Lines], str]) -> None:
    one = [{"audio": "train0.wav", "text": lines_of(runs.base["train"])[0]["text"]}]
    runs.run("run", PLAIN, {"train": written("one", one), "dev": written("other", one)})
    assert len(runs.losses("run")) == 2


@pytest.mark.slow
def test_more_processes_than_utterances(runs: Runs, written: Callable[[str, Lines], str]) -> None:
    one = [{"audio": "train0.wav", "text": lines_of(runs.base["train"])[0]["text"]}]
    data = {"train": written("one", one), "dev": written("other", one)}
    runs.run("alone", PLAIN, data)
    (runs.folder / "three.toml").write_text(tomli_w.dumps(to_dict(runs.config("three", PLAIN, data))))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3", "-m", "speechxfer", "finetune", "--config", str(runs.folder / "three.toml")]  # fmt: skip  # noqa: E501
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert runs.losses("three") == pytest.approx(runs.losses("alone"), abs=1e-4)


def labeled(lines: Lines, labels: str) -> Lines:
    return [{**line, "label": label} for line, label in zip(lines, labels, strict=False)]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("aaaa", "every utterance is labeled 'a'; wanted at least two classes"),
        ("abab?c", "no utterance of the class 'c' can be used, so that it would not be learned"),
        ("    ", "none of its 4 utterances can be used.*4 have no label"),
    ],
)
def test_classes_that_cannot_be_learned_are_refused(
    train: str, message: str, runs: Runs, good: Lines, written: Callable[[str, Lines], str]
) -> None:
    lines = labeled(good, train.replace("?", "").replace("c", ""))
    lines = [{**line, "label": line["label"].strip() or None} for line in lines]
    lines += [{"audio": "letter.wav", "label": "c"}] if "c" in train else []
    data = {"head": "classification", "train": written("train", lines), "dev": written("dev", labeled(good, "aabb"))}
    with pytest.raises(DataError, match=message):
        runs.run("run", data)
    assert not (runs.folder / "run").exists()


def test_utterances_without_a_label_are_left_out(runs: Runs, good: Lines, written: Callable[[str, Lines], str]) -> None:
    lines = labeled(good, "abababab")
    data = {"head": "classification", "dev": written("labels", lines)}
    runs.run("without", PLAIN, data, {"train": written("train", lines)})
    log = runs.run("with", PLAIN, data, {"train": written("some", [good[0], *lines])})
    assert "1 of 9 training utterances have no label and are not used" in log
    assert runs.metrics("with") == runs.metrics("without")


def test_a_loss_of_zero_is_no_success(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TrainStep.loss
    monkeypatch.setattr(TrainStep, "loss", lambda *arguments: real(*arguments) * 0.0)
    with pytest.raises(TrainingError, match="epoch 1: the loss and its gradient were 0 in every step"):
        runs.run("run", PLAIN)
    assert not (runs.folder / "run").exists()


def test_weights_that_do_not_change_are_no_success(runs: Runs) -> None:
    still = {"plan": {"encoder_lr": 1e-30, "head_lr": 1e-30}, "training": {"weight_decay": 0.0}}
    with pytest.raises(TrainingError, match="no weight has changed in the whole run"):
        runs.run("run", PLAIN, still)


def test_a_run_of_a_single_step_learns(runs: Runs) -> None:
    """A warm-up begins at a rate of 0, where the first step is the last."""
    single = {"training": {"epochs": 1, "batch_seconds": 10_000.0, "dropout": 0.0, "cache": "off"}}
    runs.run("run", single)
    runs.run("longer", single, {"training": {"epochs": 2, "warmup_ratio": 0.0}})
    assert runs.metrics("run")[0]["step"] == 1
    assert runs.metrics("run")[0]["dev_loss"] == runs.metrics("longer")[0]["dev_loss"]


def test_the_command_says_so_and_fails(runs: Runs, written: Callable[[str, Lines], str]) -> None:
    path = runs.folder / "run.toml"
    train = written("bad", [BAD["too short"][0]] * 2)
    path.write_text(tomli_w.dumps(to_dict(runs.config("run", {"train": train}))))
    done = CliRunner().invoke(main, ["finetune", "--config", str(path)])
    assert done.exit_code == 1
    assert "Error: " in done.output
    assert "none of its 2 utterances can be used, so nothing would be learned" in done.output
    assert not (runs.folder / "run").exists()
