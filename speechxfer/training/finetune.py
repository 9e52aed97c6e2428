"""The whole job: from a pre-trained checkpoint and manifests to a run folder with an adapted model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from speechxfer.config import FinetuneConfig, flat, to_dict
from speechxfer.data.checks import Limits, log_problems
from speechxfer.data.dataset import Data
from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.checkpoints import find
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError, SpeechxferError
from speechxfer.evaluation.comparison import Comparison, compare_systems
from speechxfer.evaluation.evaluate import evaluate
from speechxfer.evaluation.fusion_tuning import Tuned
from speechxfer.evaluation.results import Evaluation
from speechxfer.language_models import LanguageModel
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from speechxfer.progress import Progress
from speechxfer.report.figures import LANGUAGE_MODEL_COLUMNS, language_model_rows
from speechxfer.runs import Allotment, Metrics, RunFolder, Sources
from speechxfer.runs.ownership import check_free, check_idle, owned
from speechxfer.training import allotment, before_after, curves, scratch, self_training, sources
from speechxfer.training.beginning import Beginning
from speechxfer.training.callbacks.base import Callback, check_callbacks
from speechxfer.training.callbacks.trackers import Trackers, check_trackers
from speechxfer.training.completion import completed, load
from speechxfer.training.distributed import World
from speechxfer.training.feeding import Examples
from speechxfer.training.inputs import LiveInputs
from speechxfer.training.job import Job, check_places, retain_options
from speechxfer.training.language_model import described, language_model_of, verdict
from speechxfer.training.loop import Task, fit
from speechxfer.training.plan_table import show_plan
from speechxfer.training.preparation import Preparation
from speechxfer.training.remote_pass import check_engine
from speechxfer.training.retention import Retained, retained
from speechxfer.training.starting_point import StartingPoint, starting_point
from speechxfer.training.suitability import check
from speechxfer.training.time_limit import TimeLimit
from speechxfer.training.unused import unused
from speechxfer.unlabeled.pseudo_labels import of_people


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, the adapted model, and the test split before and after, where there is one."""

    folder: Path
    model: SpeechModel
    before: Evaluation | None = None
    after: Evaluation | None = None
    #: The adapted against the pre-trained model on the test split.
    comparison: Comparison | None = None
    #: The source domain before and after, where the settings name one.
    retained: Retained | None = None
    #: The language model on dev, where the settings ask for one; the model has it if it helps.
    tuned: Tuned | None = None
    #: The test split decoded greedily, where the model has a language model.
    greedy: Evaluation | None = None
    #: What can be said of the run in words: whether it helped, what was forgotten, where it began to overfit.
    notes: tuple[str, ...] = ()
    #: Whether this process is the one that speaks, where there are several.
    is_main: bool = True


def finetune(
    config: FinetuneConfig,
    *,
    data: Mapping[str, Data] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
    started: float | None = None,
    beginning: Beginning | None = None,
    engine: Engine | None = None,
) -> Run:
    """Adapt a pre-trained encoder to the training manifest and measure it on the test manifest.

    Writes a run folder to `config.output` (`RunFolder` has its files): settings, plan, environment, a line of figures
    an epoch, checkpoints, the best model, the predictions of the pre-trained and the adapted model for the test split,
    metrics and a report. Started by `torchrun` or `accelerate launch`, several processes share the work of one run.

    Args:
        data: splits that are in memory, by setting; the paths of these are where the folder notes what they were.
        resume: go on with the run that is in the folder, or begin it where there is none.
        callbacks: called around the steps of the run, not of the one that `compare_scratch` adds. In a run of several
            processes each calls its own; those of the main one write and print (`state.is_main`).
        started: when the job began, by `time.monotonic`; a limit of time counts from there. Now, if it is not given.
        beginning: what the planner has trained so far, where the run is to go on from that.
        engine: whose workers compute the frozen layers, and predict `unlabeled`; this process, if there is none.

    Raises:
        ConfigError: settings or callbacks that do not fit, or an output folder that holds another run.
        DataError: unusable manifests, texts or audio.
        CheckpointError: the pre-trained model cannot be found or read.
        StorageError: the disk is full, or another run is writing there; what was written before stays good.
        TrainingError: the loss is not a number any more, or nothing was learned.
    """
    started = time.monotonic() if started is None else started
    _check_arguments(config, callbacks, resume=resume)
    world = World.join(config.device)
    check_engine(engine, world)
    listener = progress if progress and world.is_main else Progress()  # one prints
    job = Job(config, world, listener, data or {}, started, engine=engine)
    job = job.settled()
    config = job.config
    ready = replace(_ready(job, resume=resume, overwrite=overwrite), beginning=beginning)
    with _taken(job, resume=resume, overwrite=overwrite):
        if config.unlabeled:
            job, ready = _taught(job, ready, overwrite=overwrite)
            resume, overwrite = True, False
        try:
            run, metrics = _adapt(job, ready, resume=resume, overwrite=overwrite, callbacks=callbacks)
        except allotment.TimeTooShortError as error:
            if not config.unlabeled:
                raise
            job = self_training.without_student(job, error)
            run, metrics = _adapt(job, _prepared(job, resume=True), resume=True, callbacks=callbacks)
        if config.compare_scratch:
            run, metrics = _against_scratch(job, run, metrics, resume=resume)
        if world.is_main:
            _write_pages(job.folder, metrics)
    world.leave()
    return run


def _check_arguments(config: FinetuneConfig, callbacks: Sequence[Callback], *, resume: bool) -> None:
    """Look at what can be known to be wrong before anything is read."""
    check_trackers(config.training.trackers)
    check_callbacks(callbacks)
    self_training.check(config)
    check_places(config, again=resume and RunFolder(config.output).is_run)


def _write_pages(folder: RunFolder, metrics: Metrics) -> None:
    """Write the figures of the whole run, the model card and the report."""
    from speechxfer.report import write_model_card, write_report  # late: drawing takes matplotlib

    folder.write_metrics(metrics)
    write_model_card(folder.path)
    write_report(folder.path)


@dataclass(frozen=True)
class _Ready:
    """A run of which all that can be known before the work is known to be sound; nothing is written yet."""

    start: StartingPoint
    #: The splits; of train, what can be learned from.
    manifests: dict[str, Manifest]
    #: What it begins with, by content.
    sources: Sources
    #: Of the main process, if any.
    language_model: LanguageModel | None
    #: What the planner has trained so far.
    beginning: Beginning | None = None


def _ready(job: Job, *, resume: bool, overwrite: bool = False) -> _Ready:
    """Everything that a run needs before its first step, checked, and its folder."""
    if job.world.is_main:
        check_idle(job.folder)
    check_free(job.folder, job.config, resume=resume, overwrite=overwrite)
    return _prepared(job, resume=resume)


def _prepared(job: Job, *, resume: bool) -> _Ready:
    """Everything that a run needs before its first step, checked."""
    config, folder = job.config, job.folder
    job.check()
    manifests = job.datasets
    checkpoint = find(config.model, language=config.language)
    found = sources.sources_of(manifests, checkpoint, config.language_model)
    sources.check_alike(job.world, found)
    if resume and folder.has_config and job.world.is_main:
        sources.check(folder, config, found)
        _ = folder.history  # whether it can be read
    splits = job.chosen()
    if job.world.is_main and not resume:
        # Too few frames for a text are reported below, by the encoder's own count.
        limits = Limits(
            normalizer=config.text.new_head_normalizer, scoring_normalizer=job.normalizer.name, frame_rate=None
        )
        log_problems(splits, limits, job.progress)
    start = starting_point(config, checkpoint, splits["train"], job.progress)
    splits["train"] = start.train
    check(start.model, splits, job.normalizer, config, job.progress)
    start.model.head.check_options(retain_options(config, start.model.head))
    for line in unused(config, start):
        job.progress.log(line)
    words = language_model_of(config, start.model.head, of_people(start.train)) if job.world.is_main else None
    start.plan.apply(start.model, 0)
    return _Ready(start, splits, found, words)


@contextlib.contextmanager
def _taken(job: Job, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """The run's folder, held by the main process for all of them; they fail together."""
    with contextlib.ExitStack() as stack:
        failure: SpeechxferError | None = None
        if job.world.is_main:
            try:
                stack.enter_context(owned(job.folder, job.config, resume=resume, overwrite=overwrite))
            except SpeechxferError as error:
                failure = error
        for failed in job.world.gather({job.world.rank: failure}).values():
            if failed is not None:
                raise failed
        _check_shared(job)
        yield


def _check_shared(job: Job) -> None:
    """Look whether all processes see the folder, which the main one writes and the others read.

    Raises:
        ConfigError: it is on a disk of the main one's host.
    """
    if job.world.size == 1 or all((seen := job.world.seeing(job.folder.path)).values()):
        return
    names = job.world.gather({job.world.rank: job.world.name})
    blind = next(rank for rank, sees in seen.items() if not sees)
    raise ConfigError(
        f"{job.folder}: {names[blind]} does not see what {names[0]} writes there; wanted a folder on a disk that all "
        "hosts share"
    )


def _taught(job: Job, ready: _Ready, *, overwrite: bool) -> tuple[Job, _Ready]:
    """The run with the predictions of a teacher, which is trained first, in its training set."""
    folder, world = job.folder, job.world
    if world.is_main:
        _write_beginning(job, ready, overwrite=overwrite)
    world.barrier()
    if folder.self_training is None:
        job.progress.log("teacher: trained on the labels alone")
        alone = {name: ready.manifests[name] for name in ("train", "dev")}
        with self_training.of_the_teacher(job.config):
            _adapt(self_training.teacher_job(job), replace(ready, manifests=alone), resume=True)
        if world.is_main:
            self_training.label(job)
        world.barrier()
    student = self_training.student_job(job)
    job.progress.log("student: trained on labels and pseudo-labels")
    return student, _prepared(student, resume=True)


def _write_beginning(job: Job, ready: _Ready, *, overwrite: bool) -> None:
    """Write down what the run begins with."""
    job.folder.clear() if overwrite else job.folder.repair()
    job.folder.write_config(job.config)
    job.write_data()
    job.folder.write(ready.sources)
    if ready.beginning:
        ready.beginning.write(job, ready.start.model.head)


def _adapt(
    job: Job, ready: _Ready, *, resume: bool, overwrite: bool = False, callbacks: Sequence[Callback] = ()
) -> tuple[Run, Metrics]:
    """One training from its settings to figures, which are on disk when it returns."""
    config, world, folder = job.config, job.world, job.folder
    start, manifests = ready.start, dict(ready.manifests)
    if world.is_main:
        _write_beginning(job, ready, overwrite=overwrite)
        _training_manifest(job, start, manifests)  # writes what the others only read
    show_plan(job, start)
    world.barrier()
    source = before_after.source_of(job, start) if world.is_main else None
    fused = ready.language_model is not None
    allotted = allotment.allotted(job, start, source, manifests, has_language_model=fused, resume=resume)
    manifests = allotment.used(job, manifests, allotted)
    manifests["train"] = _training_manifest(job, start, manifests)
    before = before_after.measured(job, source, start.model.head, manifests, allotted) if source else {}
    encoder = start.model.to(job.device).encoder
    preparation = Preparation(encoder, config.training, job.precision, world, job.progress, job.engine)
    trackers = Trackers(config.training.trackers, flat(to_dict(config)))
    task = _task(job, start, manifests, preparation, allotted)
    position = fit(task, preparation, resume=resume or folder.is_begun, callbacks=[trackers, *callbacks])
    world.barrier()
    tuned, metrics = completed(job, ready.language_model, manifests["dev"], position, preparation)
    chosen = self_training.decide(job, manifests["dev"]) if config.unlabeled and world.is_main else None
    world.barrier()
    run = Run(folder.path, load(job), tuned=tuned, is_main=world.is_main)
    if world.is_main:
        if chosen:
            metrics |= self_training.figures(job, chosen)
            run = replace(run, tuned=tuned if chosen.helps else None, notes=(self_training.verdict(chosen),))
        run = _measured(job, run, manifests, before)
        if overfitting := curves.overfitting(folder.history, position.best_epoch):
            run = replace(run, notes=(*run.notes, f"{overfitting}"))
            metrics["overfitting"] = asdict(overfitting)
        metrics |= _figures(run)
        if rows := language_model_rows(metrics):
            job.progress.table("decoding", LANGUAGE_MODEL_COLUMNS, rows)
        folder.write_metrics(metrics)
    return run, metrics


def _against_scratch(job: Job, run: Run, metrics: Metrics, *, resume: bool) -> tuple[Run, Metrics]:
    """Train the same shape from random weights, and say whether transfer helped."""
    config = job.config
    job.progress.log("from scratch: the same shape with random weights, for as many epochs")
    depth = open_checkpoint(find(config.model, language=config.language)).encoder.depth
    other = replace(job, config=scratch.scratch_config(config, depth), given=job.datasets)
    other_run, other_metrics = _adapt(other, _ready(other, resume=resume), resume=resume)
    if not run.is_main:
        return run, metrics
    manifest = job.datasets["test" if config.test else "dev"]
    sides = [
        one.after or evaluate(one.model, manifest, job.normalizer, progress=job.progress) for one in (other_run, run)
    ]
    found = scratch.scratch_verdict(sides[0], sides[1])
    figures = {name: other_metrics[name] for name in ("dev", "after", "best_epoch", "seconds") if name in other_metrics}
    run = replace(run, notes=(*run.notes, found["verdict"]))
    return run, cast(Metrics, {**metrics, "scratch": figures | found, **_figures(run)})


def _training_manifest(job: Job, start: StartingPoint, manifests: Mapping[str, Manifest]) -> Manifest:
    """With what the head adds to it, whose audio lies in the run's folder."""
    return start.model.head.training_manifest(manifests["train"], job.config, job.folder.non_speech)


def _task(
    job: Job, start: StartingPoint, manifests: dict[str, Manifest], preparation: Preparation,
    allotted: Allotment | None,
) -> Task:  # fmt: skip
    """Everything the loop needs, with what is frozen computed."""
    config, head = job.config, start.model.head

    def examples(name: str, copies: int = 0, *, learned: bool = True) -> Examples:
        manifest = manifests[name]
        augment, limit = (config.augment, allotted) if name == "train" else (None, None)
        passes = limit.passes if limit else None
        inputs = preparation.inputs(
            manifest, start.plan.lowest_seam, name, speed_copies=copies, augment=augment, passes=passes
        )
        return Examples(inputs, manifest, [head.targets(utterance) for utterance in manifest] if learned else [])

    train, dev = examples("train", config.training.speed_copies), examples("dev")
    is_live = isinstance(train.inputs, LiveInputs)
    return Task(
        start.model, start.plan, train, dev, config.training, config.augment, job.normalizer, job.folder,
        data_digest([manifests["train"], manifests["dev"]]),
        retain=examples("retain", learned=False) if "retain" in manifests else None,
        retain_options=retain_options(config, head),
        time_limit=TimeLimit(allotted, job.started, start.plan, is_live=is_live) if allotted else None,
    )  # fmt: skip


def _measured(job: Job, run: Run, manifests: dict[str, Manifest], before: dict[str, Evaluation]) -> Run:
    """The run with its best model's results on test and retain."""
    normalizer, notes = job.normalizer, []
    if (test := manifests.get("test")) is not None:
        after = evaluate(run.model, test, normalizer, progress=job.progress)
        job.folder.write_predictions("test", "adapted", after)
        run = replace(run, before=before.get("test"), after=after)
        if run.before:
            same = after.spread(len(run.before.results))
            comparison = compare_systems(("before", "after"), run.before, same)
            run = replace(run, comparison=comparison)
            part = "" if same is after else f", {len(same.results)} of {len(after.results)} utterances"
            notes.append(f"Test split{part}: {comparison.verdict()}")
        if run.tuned and run.tuned.helps:
            job.progress.log("test without the language model")
            greedy = evaluate(run.model, test, normalizer, options=DecodingOptions(beams=1), progress=job.progress)
            run = replace(run, greedy=greedy)
    if run.tuned:
        notes.append(verdict(run.tuned, run.greedy, run.after))
    if (source := manifests.get("retain")) is not None:
        options = retain_options(job.config, run.model.head)
        after = evaluate(run.model, source, normalizer, options=options, progress=job.progress)
        job.folder.write_predictions("retain", "adapted", after)
        kept = retained(source, before.get("retain"), after)
        run = replace(run, retained=kept)
        notes.append(kept.verdict)
    return replace(run, notes=(*run.notes, *notes))


def _figures(run: Run) -> Metrics:
    measured = {"before": run.before, "after": run.after, "retained": run.retained}
    figures = {name: item.to_dict() for name, item in measured.items() if item}
    figures |= {"comparison": run.comparison.to_dict(0)} if run.comparison else {}
    figures |= {"language_model": described(run.tuned, run.greedy, run.after)} if run.tuned else {}
    return cast(Metrics, {**figures, "notes": list(run.notes)})
