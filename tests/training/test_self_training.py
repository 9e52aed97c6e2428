"""Self-training: a teacher's predictions for recordings without text, used in training."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

import speechxfer as sx
from speechxfer.config import build
from speechxfer.data.dataset import Dataset
from speechxfer.data.manifest import Manifest
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.runs import Allotment, RunFolder, SelfTraining
from speechxfer.training import allotment, self_training
from speechxfer.training.distributed import World
from speechxfer.training.job import Job
from speechxfer.training.time_limit import TimeLimit
from speechxfer.unlabeled.pseudo_labels import PLACE
from tests.conftest import tone
from tests.pickling import Pickling
from tests.training.conftest import Log, Runs, texts

#: A teacher that learns tones in a few seconds.
LEARNING: dict[str, Any] = {
    "plan": {"freeze_frontend": False, "encoder_lr": 1e-2, "head_lr": 1e-2, "head_only_ratio": 0.0},
    "training": {"epochs": 6, "batch_seconds": 2.0, "dropout": 0.0},
    "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
}


def without_text(path: Path) -> Path:
    """The manifest without its texts."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    other = path.with_name(f"unlabeled-{path.name}")
    other.write_text("".join(json.dumps({"audio": line["audio"]}) + "\n" for line in lines))
    return other


def found(runs: Runs, name: str) -> SelfTraining:
    read = RunFolder(runs.folder / name).self_training
    assert read is not None
    return read


@pytest.fixture
def taught(runs: Runs, corpus: Callable[..., Path]) -> Runs:
    """Runs with ten recordings without text, and three more that cannot be used."""
    path = without_text(corpus("more", texts(10, 7)))
    (path.parent / "broken.wav").write_bytes(b"RIFF")
    soundfile.write(path.parent / "long.wav", tone("abc" * 70), 16_000)
    with path.open("a") as file:
        file.writelines(json.dumps({"audio": name}) + "\n" for name in ("broken.wav", "long.wav", "dev0.wav"))
    train = str(corpus("train", texts(40, 1)))
    return Runs({**runs.base, **LEARNING, "train": train, "unlabeled": str(path)}, runs.folder)


@pytest.mark.slow
def test_the_student_learns_from_the_teachers_predictions(taught: Runs) -> None:
    log = taught.run("run", {"test": taught.base["dev"]})
    folder, counts = RunFolder(taught.folder / "run"), found(taught, "run")
    assert counts.recordings == 13
    assert counts.kept + sum(counts.left_out.values()) == 13
    expected = (self_training.UNREADABLE, self_training.TOO_LONG, self_training.LABELED)
    assert [counts.left_out[why] for why in expected] == [1, 1, 1]
    assert f"pseudo-labels: {counts.kept} of 13 recordings are used" in log
    labels = sx.Manifest.read(folder.pseudo_labels)
    assert len(labels) == counts.kept > 0
    assert all(one.text and one.path.is_file() for one in labels)
    # Both models are measured in the same way, and the run's is the better one.
    better = folder if counts.helps else folder.teacher
    assert (folder.model / "model.safetensors").read_bytes() == (better.model / "model.safetensors").read_bytes()
    assert counts.teacher is not None
    assert counts.student is not None
    assert counts.helps == (counts.student["wer"] < counts.teacher["wer"])
    assert folder.metrics["after"]["wer"] == min(counts.student["wer"], counts.teacher["wer"])
    assert folder.metrics["notes"][0] == self_training.verdict(counts)
    assert "Recordings without labels" in folder.report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_exactly(taught: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    taught.run("whole")
    with monkeypatch.context() as patched:
        patched.setattr(self_training, "scored", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            taught.run("run")
    folder = RunFolder(taught.folder / "run")
    assert folder.teacher.is_trained
    assert not folder.pseudo_labels.exists()
    with pytest.raises(KeyboardInterrupt):
        taught.run("run", resume=True, callbacks=[_StopAt(9)])
    written = folder.pseudo_labels.stat().st_mtime_ns
    taught.run("run", resume=True)
    assert folder.pseudo_labels.stat().st_mtime_ns == written
    assert folder.pseudo_labels.read_bytes() == RunFolder(taught.folder / "whole").pseudo_labels.read_bytes()
    assert taught.losses("run") == taught.losses("whole")
    assert taught.losses("run/teacher") == taught.losses("whole/teacher")


@pytest.mark.slow
def test_workers_predict_what_the_teacher_would_here(taught: Runs) -> None:
    engine = Pickling()
    sx.finetune(config=taught.config("remote"), engine=engine)
    assert {Path(one.source.name).name for batch in engine.sent for one in batch.utterances} >= {
        "more0.wav",
        "dev0.wav",
    }
    taught.run("here")
    folders = [RunFolder(taught.folder / name) for name in ("remote", "here")]
    assert folders[0].pseudo_labels.read_bytes() == folders[1].pseudo_labels.read_bytes()
    assert replace(found(taught, "remote"), used_s=0.0) == replace(found(taught, "here"), used_s=0.0)


class _StopAt(sx.Callback):
    """Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, state: sx.TrainingState) -> None:
        if state.step == self.step:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_other_recordings_are_noticed_on_resuming(taught: Runs) -> None:
    with pytest.raises(KeyboardInterrupt):
        taught.run("run", callbacks=[_StopAt(2)])
    path = Path(taught.base["unlabeled"])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(CheckpointError, match="the unlabeled manifest has changed"):
        taught.run("run", resume=True)


@pytest.mark.slow
def test_where_no_prediction_can_be_used_the_model_is_that_of_the_labels(taught: Runs) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 16_000)).astype(np.float32)
    rows = [{"audio": one, "sample_rate": 16_000} for one in noise]
    log = Log()
    config = replace(taught.config("run"), unlabeled=None)
    sx.finetune(config=config, unlabeled=rows, progress=log)
    folder, counts = RunFolder(taught.folder / "run"), found(taught, "run")
    assert counts.kept == 0
    assert taught.losses("run") == taught.losses("run/teacher")
    assert (folder.model / "model.safetensors").read_bytes() == (folder.teacher.model / "model.safetensors").read_bytes()  # fmt: skip  # noqa: E501
    assert "none of the recordings without labels can be used" in log


def test_a_worse_student_is_not_handed_over(taught: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(taught.folder / "run")
    for run, content in ((folder, "student"), (folder.teacher, "teacher")):
        run.model.mkdir(parents=True)
        (run.model / "model.safetensors").write_text(content)
    folder.write(SelfTraining(3, 2, {}, 3.0, 2.0, 0.5, 0.5, 10.0))
    scores = {"teacher": 0.4, "student": 0.5}

    def evaluated(model: str, *_: object, **__: object) -> SimpleNamespace:
        wer = scores[(Path(model) / "model.safetensors").read_text()]
        return SimpleNamespace(scores=SimpleNamespace(rank=(wer,), summary={"wer": wer}))

    monkeypatch.setattr(self_training, "evaluate", evaluated)
    monkeypatch.setattr(self_training, "SpeechModel", SimpleNamespace(load=lambda name, **_: name))
    job = Job(taught.config("run"), World(), sx.Progress())
    for _ in range(2):  # also where the process was killed while it replaced the model
        chosen = self_training.decide(job, Manifest([]))
        assert (chosen.helps, chosen.teacher, chosen.student) == (False, {"wer": 0.4}, {"wer": 0.5})
        assert (folder.model / "model.safetensors").read_text() == "teacher"
    assert "so the model is the teacher" in self_training.verdict(chosen)


def test_the_time_of_the_teacher_is_that_of_the_job(taught: Runs) -> None:
    job = Job(taught.config("run", {"training": {"time": "100s"}}), World(), sx.Progress())
    alone = self_training.teacher_job(job)
    assert alone.config.training.time == "35s"
    assert alone.started == job.started
    assert (alone.config.unlabeled, alone.config.test, Path(alone.config.output).name) == (None, None, "teacher")
    job.folder.write(SelfTraining(3, 1, {}, 3.0, 1.0, 0.5, 0.5, 40.0))
    unlabeled = job.datasets["unlabeled"]
    unlabeled.holding([replace(unlabeled[2], text="abc", extra={PLACE: 2})]).write(job.folder.pseudo_labels)
    student = self_training.student_job(job)  # of a process that begins here
    assert student.started == pytest.approx(time.monotonic() - 40.0, abs=1.0)
    assert student.pseudo_labels is not None
    assert [(one.audio, one.text) for one in student.pseudo_labels] == [(unlabeled[2].audio, "abc")]
    (job.folder.checkpoints / "step-1").mkdir(parents=True)
    assert self_training.student_job(job).started == job.started  # its checkpoint knows the time


@pytest.mark.slow
def test_recordings_in_memory(taught: Runs) -> None:
    sound = [tone(text) for text in texts(6, 7)]
    rows = [{"audio": one, "sample_rate": 16_000} for one in sound]
    sx.finetune(config=replace(taught.config("run"), unlabeled=None), unlabeled=rows)
    assert found(taught, "run").kept
    assert len(Dataset.of(RunFolder(taught.folder / "run").data / "unlabeled.jsonl")) == 6


def test_a_third_training_is_refused(taught: Runs) -> None:
    with pytest.raises(ConfigError, match="compare_scratch adds a third"):
        taught.run("run", {"compare_scratch": True})


@pytest.fixture
def _ten_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch of a run with a limit of time has ten steps, on a slow machine as on a fast one."""
    monkeypatch.setattr(TimeLimit, "_decided", lambda *_: 10)


@pytest.mark.usefixtures("_ten_steps")
@pytest.mark.slow
def test_without_time_for_a_student_the_teacher_is_handed_over(taught: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_training, "_LATEST", 0.0)
    taught.run("run", {"training": {"time": "1000s"}})
    folder, counts = RunFolder(taught.folder / "run"), found(taught, "run")
    assert counts.kept == 0
    assert counts.left_out[self_training.NO_TIME] > 0
    assert folder.allotment is not None
    assert (folder.model / "model.safetensors").read_bytes() == (folder.teacher.model / "model.safetensors").read_bytes()  # fmt: skip  # noqa: E501


def test_settings_that_do_not_fit_of_the_teacher_say_so() -> None:
    config = build(
        sx.FinetuneConfig, {"model": "m", "train": "t", "dev": "d", "output": "o", "training": {"time": "5m"}}
    )
    with (
        pytest.raises(ConfigError, match="labels alone, which has 35% of 5m: too short"),
        self_training.of_the_teacher(config),
    ):
        raise ConfigError("too short")


@pytest.mark.usefixtures("_ten_steps")
@pytest.mark.slow
def test_a_student_for_which_the_time_is_too_short_leaves_the_teacher(
    taught: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = allotment.allot

    def allotted(job: Job, *others: Any, **named: Any) -> Allotment:
        if job.config.unlabeled:
            raise allotment.TimeTooShortError("training.time is '1000s', but measuring test takes about 60 s")
        return real(job, *others, **named)

    monkeypatch.setattr(allotment, "allot", allotted)
    monkeypatch.setattr(self_training, "_LATEST", 100.0)
    monkeypatch.setattr(self_training, "_PREDICTED", 100.0)
    log = taught.run("run", {"training": {"time": "1000s"}, "test": taught.base["dev"]})
    folder, counts = RunFolder(taught.folder / "run"), found(taught, "run")
    assert "warning: the student is not trained: training.time is '1000s'" in log
    assert (counts.kept, counts.helps) == (0, False)
    assert counts.left_out[self_training.NO_TIME] > 0
    assert (folder.model / "model.safetensors").read_bytes() == (folder.teacher.model / "model.safetensors").read_bytes()  # fmt: skip  # noqa: E501
    assert "after" in folder.metrics


@pytest.mark.usefixtures("_ten_steps")
@pytest.mark.slow
def test_a_student_needs_as_long_as_its_teacher_did(taught: Runs) -> None:
    job = Job(taught.config("run", {"training": {"time": "1000s"}}), World(), sx.Progress())
    sx.finetune(config=self_training.teacher_job(job).config)
    teacher, dev = job.folder.teacher, job.datasets["dev"]
    final_s, tuning_s = allotment._final_s(job, dev, 0.0, has_language_model=False)
    assert final_s > 0.0
    # As if calibrating had taken a minute.
    teacher.write_metrics({**teacher.metrics, "seconds": {**teacher.metrics["seconds"], "after": 60.0}})
    assert (
        allotment._final_s(job, dev, 0.0, has_language_model=False)[1]
        > 60.0 / dev.with_durations().duration_s
        > tuning_s
    )


def test_no_more_is_predicted_than_there_is_time_for(taught: Runs) -> None:
    job = Job(taught.config("run", {"training": {"time": "100s"}}), World(), sx.Progress())
    ten = {place: replace(one, duration=10.0) for place, one in enumerate(list(job.datasets["unlabeled"])[:10])}
    left_out: dict[str, int] = {}
    assert self_training._in_time(job, ten, 0.1, left_out) == ten
    assert not left_out
    some = self_training._in_time(job, ten, 1.0, left_out)
    assert len(some) == 5
    assert left_out == {self_training.NO_TIME: 5}
    assert max(some) > 5  # not only the first ones
