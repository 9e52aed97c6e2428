"""Self-training: a teacher learns from the labels, and the student from these and from the teacher's predictions."""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, cast

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import ConfigError
from speechxfer.evaluation.evaluate import evaluate
from speechxfer.heads.setup import Unusable
from speechxfer.model import SpeechModel
from speechxfer.runs import Metrics, SelfTraining
from speechxfer.storage import replacing_folder
from speechxfer.training.job import Job
from speechxfer.training.time_limit import given_s
from speechxfer.training.usable import measured
from speechxfer.unlabeled.pseudo_labels import Limits, PseudoLabels, restored
from speechxfer.unlabeled.scoring import scored

#: Fraction of a limited time that the teacher has.
_TEACHER = 0.35
#: Where more of it has gone by when the predictions are made, no student is trained.
_LATEST = 0.6
#: What can be predicted up to this fraction is; the other recordings are left out.
_PREDICTED = 0.55
#: Recordings are predicted whole; longer ones would have to be cut.
_LONGEST_S = 30.0

NO_TIME = "for which no time is left"
UNREADABLE, TOO_LONG, LABELED = "that cannot be read", f"longer than {_LONGEST_S:g} s", "that are in another split"


def check(config: FinetuneConfig) -> None:
    """Look for settings that do not go with `unlabeled`.

    Raises:
        ConfigError: one does not.
    """
    if config.unlabeled and config.compare_scratch:
        raise ConfigError("unlabeled trains two models, and compare_scratch adds a third; give one of them")


def teacher_job(job: Job) -> Job:
    """The run on the labels alone; test is measured with the model that is better in the end."""
    config = job.config
    training = replace(config.training, trackers=[])
    if training.time:
        training = replace(training, time=f"{_TEACHER * given_s(training):.0f}s")
    alone = replace(
        config, output=str(job.folder.teacher), unlabeled=None, test=None, retain=None, training=training
    )  # fmt: skip
    return replace(job, config=alone, given=job.datasets)


@contextlib.contextmanager
def of_the_teacher(config: FinetuneConfig) -> Iterator[None]:
    """Say in errors of settings that they are the teacher's, whose time nobody gave by that number.

    Raises:
        ConfigError: one was raised.
    """
    try:
        yield
    except ConfigError as error:
        part = f", which has {_TEACHER:.0%} of {config.training.time}" if config.training.time else ""
        raise ConfigError(f"the teacher, trained on the labels alone{part}: {error}") from error


def label(job: Job) -> None:
    """Predict labels with the teacher, and write those that can be used into the run's folder.

    Raises:
        StorageError: they could not be written.
    """
    began, teacher = time.monotonic(), job.folder.teacher
    model = SpeechModel.load(str(teacher.model), device=job.config.device)
    unlabeled, seed = job.datasets["unlabeled"], job.config.training.seed
    usable, left_out = _usable(job, model.max_duration_s)
    job.progress.log(f"teacher: predicts {len(usable)} recordings without labels, and dev to compare")
    dev, begun = job.chosen()["dev"].with_durations(), time.monotonic()
    engine = (job.engine, str(teacher.model.absolute())) if job.engine else None
    score = functools.partial(scored, model, seed=seed, progress=job.progress, engine=engine)
    limits = Limits.of(score(dev))
    usable = _in_time(job, usable, (time.monotonic() - begun) / max(dev.duration_s, 1e-6), left_out)
    predicted = score(unlabeled.holding(usable.values())) if usable else []
    found = PseudoLabels.of(predicted, usable, limits, classes=job.config.head_type.is_classifier)
    used_s = sum(teacher.metrics.get("seconds", {}).values()) + time.monotonic() - began
    used_s = max(used_s, time.monotonic() - job.started)
    training = job.config.training
    if training.time and used_s > _LATEST * given_s(training):
        found = PseudoLabels([], {**found.left_out, NO_TIME: len(found.kept) + left_out.get(NO_TIME, 0)})
    if found.kept:
        unlabeled.holding(found.kept).write(job.folder.pseudo_labels)
    seconds = sum(one.duration or 0.0 for one in usable.values())
    job.folder.write(
        SelfTraining(
            len(unlabeled), len(found.kept), {**left_out, **found.left_out}, round(seconds, 2),
            round(sum(one.duration or 0.0 for one in found.kept), 2), limits.confidence, limits.agreement,
            used_s,
        )
    )  # fmt: skip


def student_job(job: Job) -> Job:
    """The run on labels and pseudo-labels, with what is left of the time; without any, the teacher's run goes on."""
    found = job.folder.self_training
    assert found is not None
    for line in _report(found):
        job.progress.log(line)
    is_begun = job.folder.is_begun
    job.world.barrier()
    if not (found.kept or is_begun) and job.world.is_main:
        job.folder.go_on_from(job.folder.teacher)
    job.world.barrier()
    # A checkpoint knows how much time had gone by.
    started = job.started if is_begun or not found.kept else min(job.started, time.monotonic() - found.used_s)
    return replace(job, given=job.datasets, pseudo_labels=_pseudo_labels(job, found), started=started)


def without_student(job: Job, reason: Exception) -> Job:
    """The run with the teacher as its model, where there is no time for a student.

    Raises:
        StorageError: the disk is full or read-only.
    """
    found = job.folder.self_training
    assert found is not None
    job.progress.log(f"warning: the student is not trained: {reason}")
    if job.world.is_main:
        left_out = {**found.left_out, NO_TIME: found.left_out.get(NO_TIME, 0) + found.kept}
        job.folder.write(replace(found, kept=0, kept_seconds=0.0, left_out=left_out))
    job.world.barrier()
    return student_job(job)


def learned_from(job: Job) -> Job:
    """A finished run with the pseudo-labels that its model has learned from, if any."""
    found = job.folder.self_training
    return replace(job, pseudo_labels=_pseudo_labels(job, found)) if found and found.helps else job


def _pseudo_labels(job: Job, found: SelfTraining) -> Manifest | None:
    return restored(Manifest.read(job.folder.pseudo_labels), job.datasets["unlabeled"]) if found.kept else None


def _report(found: SelfTraining) -> Iterator[str]:
    """How many recordings are used, and why the others are not."""
    kept, hours = found.kept / found.recordings, found.kept_seconds / 3600
    yield f"pseudo-labels: {found.kept:,} of {found.recordings:,} recordings are used ({kept:.0%}; {hours:.2f} hours)"
    for reason, count in sorted(found.left_out.items(), key=lambda item: -item[1]):
        yield f"pseudo-labels: {count:,} ({count / found.recordings:.0%}) {reason} are not used"
    if not found.kept:
        yield "pseudo-labels: there are none, so the model is that of the labels alone"


def _usable(job: Job, longest_s: float | None) -> tuple[dict[int, Utterance], dict[str, int]]:
    """The recordings that can be predicted, with their durations, by place; how many others there are, by reason."""
    splits = [one for name, one in job.datasets.items() if name not in ("unlabeled", "retention.replay")]
    known = {_sound(utterance) for one in splits for utterance in one}
    found, left_out = dict[int, Utterance](), Counter[str]()
    with job.progress.task("reading", len(job.datasets["unlabeled"])) as advance:
        for place, utterance in enumerate(job.datasets["unlabeled"]):
            one = measured(replace(utterance, text=None, label=None), job.progress, decoded=True)
            if isinstance(one, Unusable):
                left_out[UNREADABLE] += 1
            elif (one.duration or 0.0) > min(_LONGEST_S, longest_s or _LONGEST_S):
                left_out[TOO_LONG] += 1
            elif _sound(utterance) in known:
                left_out[LABELED] += 1
            else:
                found[place] = one
            advance(1)
    return found, dict(left_out)


def _in_time(job: Job, usable: dict[int, Utterance], second_s: float, left_out: dict[str, int]) -> dict[int, Utterance]:
    """As many of the recordings, at even distances, as can be predicted in the time there is for it.

    Args:
        second_s: what predicting a second of audio takes.
        left_out: counts those that are left out.
    """
    if not job.config.training.time or not usable:
        return usable
    left_s = _PREDICTED * given_s(job.config.training) - (time.monotonic() - job.started)
    seconds = second_s * sum(one.duration or 0.0 for one in usable.values())
    count = min(len(usable), int(len(usable) * max(left_s, 0.0) / max(seconds, 1e-6)))
    if count < len(usable):
        left_out[NO_TIME] = len(usable) - count
    places = list(usable)
    chosen = [places[number * len(places) // count] for number in range(count)]
    return {place: usable[place] for place in chosen}


def _sound(utterance: Utterance) -> tuple[str, float, int | None]:
    return utterance.source.name, utterance.start, utterance.audio_channel


def decide(job: Job, dev: Manifest) -> SelfTraining:
    """Compare the student with the teacher on dev; the run's model is the better one from then on.

    Raises:
        DataError: unreadable audio.
        StorageError: the disk is full or read-only.
    """
    folder, found = job.folder, job.folder.self_training
    assert found is not None
    if found.kept and found.student is None:
        job.progress.log("teacher and student are measured on dev")
        models = (SpeechModel.load(str(one.model), device=job.config.device) for one in (folder.teacher, folder))
        teacher, student = (evaluate(one, dev, job.normalizer, progress=job.progress).scores for one in models)
        helps = student.rank < teacher.rank
        found = replace(found, teacher=teacher.summary, student=student.summary, helps=helps)
        folder.write(found)
    if not found.helps:
        with replacing_folder(folder.model) as temporary:
            shutil.copytree(folder.teacher.model, temporary, dirs_exist_ok=True)
    return found


def figures(job: Job, found: SelfTraining) -> Metrics:
    """What the run's figures say of self-training; where the teacher is the run's model, they are the teacher's."""
    own: dict[str, Any] = {"self_training": asdict(found)}
    if not found.helps:
        taken = ("dev", "calibration", "language_model")
        own |= {name: value for name, value in job.folder.teacher.metrics.items() if name in taken}
    return cast(Metrics, own)


def verdict(found: SelfTraining) -> str:
    """Whether the recordings without labels helped, in a sentence."""
    if found.teacher is None or found.student is None:
        return "Self-training: none of the recordings without labels can be used, so the model is that of the labels."
    sides = [" ".join(f"{name.upper()} {value:.3f}" for name, value in one.items()) for one in (found.teacher, found.student)]  # fmt: skip  # noqa: E501
    if found.helps:
        return f"Self-training helped: on dev, the teacher has {sides[0]}, and the student {sides[1]}."
    return f"Self-training did not help: on dev, the teacher has {sides[0]}, and the student {sides[1]}; so the model is the teacher."  # fmt: skip  # noqa: E501
