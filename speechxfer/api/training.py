"""Adapting a model, and mixing it with what it was."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.api.settings import AUTOMATIC, PlanLike, Request, Settings
from speechxfer.config import nested
from speechxfer.data.dataset import Data
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError
from speechxfer.extras import explained
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.training.beginning import Beginning
    from speechxfer.training.callbacks.base import Callback
    from speechxfer.training.finetune import Run
    from speechxfer.training.interpolation import Curve, Interpolation


@explained()
def finetune(
    model: str | os.PathLike[str] | None = None,
    *,
    train: Data | None = None,
    dev: Data | None = None,
    test: Data | None = None,
    output: str | os.PathLike[str] | None = None,
    head: str | None = None,
    plan: PlanLike | None = None,
    config: Settings | None = None,
    callbacks: Sequence[Callback] = (),
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    engine: Engine | None = None,
    **settings: Any,
) -> Run:
    """Adapt a pre-trained encoder to your audio, and measure it on `test` before and after.

    `sx.finetune("openai/whisper-base", train="train.jsonl", dev=rows, plan=sx.Plan(train_top=2),
    training={"epochs": 5})`

    The run's folder holds its settings, history, model, figures and `report.html`. Data that is in memory is noted
    there (in `data/`) without its sound, so such a run is resumed by the same call with the same data. Started by
    `torchrun` or `accelerate launch`, several processes share the work of one run.

    Args:
        model: pre-trained: a folder, an installed package, or a name on the hub.
        train: what is learned from; as all data, the path of a manifest, a `Manifest`, utterances or dictionaries
            (`{"audio": array, "sample_rate": 16000, "text": "…"}`), or a data set of Hugging Face (see `Dataset.of`).
        dev: decides which epoch is best.
        test: is measured before and after.
        output: the run's folder; `runs/MODEL-HEAD` if it is not given.
        head: "ctc" (the default), "classification", or "seq2seq" for the checkpoint's own decoder.
        plan: what is frozen and how fast the rest is trained: the name of a preset, a TOML file with a table [plan], a
            `Plan`, a dictionary of its settings, or "auto", which tries first (five minutes, or a seventh of the time).
        config: settings that all others are laid over: a TOML file, a dictionary or a `FinetuneConfig`.
        callbacks: called around the steps of the run; each an instance of a class derived from `Callback`.
        resume: go on with the run that is in `output`, or begin it where there is none.
        overwrite: replace the run that is in `output`.
        progress: receives what goes on (`TerminalProgress` prints it).
        engine: whose workers compute the frozen layers, and predict `unlabeled`: `speechxfer.jobs.on_ray.OnRay()`.
        settings: all other settings of a run, each group as a dictionary or a table: `training`, `text`, `augment`,
            `encoder`, `pooling`, `retention`, and those of heads (`ctc`, `classification`, `seq2seq`); and
            `device`, `unlabeled`, `retain`, `strict`, `compare_scratch`.

    Returns:
        The folder, the adapted model, and the test split before and after.

    Raises:
        ConfigError: an unknown setting or a value that it may not have, settings that do not fit, or an output folder
            that holds another run.
        DataError: unusable data, texts or audio.
        CheckpointError: the pre-trained model cannot be found or read.
        StorageError: the disk is full, or another run is writing there; what was written before stays good.
        TrainingError: the loss is not a number any more, or nothing was learned.
    """
    started = time.monotonic()
    _check_first(config, engine, resume=resume)
    given = {"model": model, "train": train, "dev": dev, "test": test, "output": output, "head": head, **settings}
    asked, progress = Request.of(config, plan, given), progress or Progress()
    if asked.replaced:
        progress.log(f"--plan {plan}: replaces the table [plan] of {config} ({', '.join(asked.replaced)})")
    asked = asked.resumed(config, progress) if resume else asked
    beginning = None
    if plan == AUTOMATIC:
        from speechxfer.api.planning import automatic

        asked, beginning = automatic(asked, resume=resume, overwrite=overwrite, progress=progress)
    run = _run(
        asked, started, callbacks=callbacks, resume=resume, overwrite=overwrite, progress=progress, beginning=beginning,
        engine=engine,
    )  # fmt: skip
    if plan == AUTOMATIC:
        from speechxfer.api.planning import fared

        fared(asked.config.output, run, progress)
    return run


def _check_first(config: Settings | None, engine: Engine | None, *, resume: bool) -> None:
    """Look for workers before a plan is made, and for a run of an earlier version, whose settings have other names.

    Raises:
        ConfigError: there are no workers, or the run is of an earlier version.
    """
    from speechxfer.runs import RunFolder

    if engine is not None:
        engine.check()
    if resume and isinstance(config, str | os.PathLike) and Path(config) == RunFolder(Path(config).parent).config_file:
        RunFolder(Path(config).parent).check_layout()


def _run(
    asked: Request, started: float, *, callbacks: Sequence[Callback], resume: bool, overwrite: bool, progress: Progress,
    beginning: Beginning | None, engine: Engine | None,
) -> Run:  # fmt: skip
    """Do the job, and report what came out, or how to go on after Ctrl-C."""
    config = asked.config
    # Only now torch: a wrong setting is reported at once.
    from speechxfer.runs import RunFolder
    from speechxfer.training.finetune import finetune as adapt

    try:
        run = adapt(
            config, data=asked.data, callbacks=callbacks, resume=resume, overwrite=overwrite, progress=progress,
            started=started, beginning=beginning, engine=engine,
        )  # fmt: skip
    except KeyboardInterrupt:
        folder = RunFolder(config.output)
        models = [one for one in (folder.model, folder.teacher.model) if one.is_dir()]
        usable = f"{models[0]} is usable as it is, and " if models else ""
        progress.log(f"interrupted; {usable}--resume goes on from here")
        raise
    if run.is_main:
        _summarize(run, progress)
    return run


def _summarize(run: Run, progress: Progress, *, num_rows: int = 6) -> None:
    """Before and after, with a few transcripts side by side."""
    from speechxfer.runs import RunFolder

    if run.after is not None:
        before = {result.utterance.id: result.hypothesis for result in run.before.results} if run.before else {}
        rows = [
            (result.reference, before.get(result.utterance.id, "-"), result.hypothesis)
            for result in run.after.results[:: max(1, len(run.after.results) // num_rows)]
        ]
        progress.table("some of the test utterances", ("said", "before", "after"), rows)
        if run.before:
            progress.log(f"before  {run.before}")
        progress.log(f"after   {run.after}")
    for note in run.notes:
        progress.log(note)
    progress.log(f"model: {RunFolder(run.folder).model}")


@explained()
def interpolate(
    run: str | os.PathLike[str] | Run,
    *,
    points: Sequence[float] | None = None,
    at: float | None = None,
    keep_gain: float | None = None,
    output: str | os.PathLike[str] | None = None,
    places: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Curve:
    """Measure the models between the one a finished run began with and the one it ended with.

    The curve is also kept in the run's folder and shown in its report.

    Args:
        run: a finished run, or its folder.
        points: fractions of the adapted weights to measure; 0, 0.1, …, 1 if they are not given.
        at: save the model at this point to `output`.
        keep_gain: save the model that keeps this fraction of the gain on dev and forgets least.
        output: folder for that model; `interpolated` in the run's folder if it is not given.
        places: where the model or data of the run are now, by setting, if they have been moved.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: receives what goes on.

    Raises:
        ConfigError: no finished run, a point outside 0 to 1, no gain to keep, or `output` holds something else.
        CheckpointError: the model that the run began with cannot be found.
        StorageError: another process writes there, or it cannot be written.
    """
    folder = folder_of(run)
    _check_saved(at, keep_gain, output)
    from speechxfer.report import write_report
    from speechxfer.report.run import read_run
    from speechxfer.runs import RunFolder
    from speechxfer.storage import only_writer
    from speechxfer.training.interpolation import POINTS, Interpolation, checked_points

    progress, moved = progress or Progress(), nested(places or {})
    wanted = checked_points([*(POINTS if points is None else points), *([] if at is None else [at])])
    RunFolder(folder).check_finished()
    of_data = {name: value for name, value in moved.items() if name != "model"}
    with only_writer(RunFolder(folder).lock, str(folder)):
        read_run(folder, of_data)  # what the report could not show is reported before the work
        line = Interpolation(folder, device=device, places=moved, progress=progress)
        _explain(line, progress)
        curve = line.curve(wanted)
        progress.table("", ("alpha", "dev", "gain kept", "retained", "loss"), curve.rows())
        if at is not None or keep_gain is not None:
            chosen = (
                next(point for point in curve.points if point.alpha == at)
                if at is not None
                else curve.best(keep_gain or 0.0)
            )
            saved = Path(output) if output else RunFolder(folder).interpolated
            line.at(chosen.alpha).save(saved)
            progress.log(f"{curve.describe(chosen)}; model: {saved}")
        write_report(folder, of_data)
    return curve


def _explain(line: Interpolation, progress: Progress) -> None:
    """Report what the ends of the line are not."""
    if line.encoder_only:
        progress.log("the head was new, so only the encoder is mixed; all points have the adapted head")
    elif line.unpadded:
        progress.log("alpha 0 has the original's weights, but receives utterances without the silence up to 30 s that the original was trained on, and so does worse than it; a run with --pad-to-30s begins at the original itself")  # fmt: skip  # noqa: E501


def folder_of(run: Any) -> Path:
    """The folder of a run, or that its path names.

    Raises:
        ConfigError: it is neither.
    """
    folder = getattr(run, "folder", run)
    if not isinstance(folder, str | os.PathLike):
        raise ConfigError(f"run is {run!r:.80}; wanted a Run, or the path of its folder")
    return Path(folder)


def _check_saved(at: float | None, keep_gain: float | None, output: str | os.PathLike[str] | None) -> None:
    """Look for choices that contradict each other, and for a folder that must not be replaced."""
    from speechxfer.encoders.checkpoints import MODEL_FILE

    if at is not None and keep_gain is not None:
        raise ConfigError("--at names a point and --keep-gain looks for one; give one of them")
    if keep_gain is not None and not 0 <= keep_gain <= 1:
        raise ConfigError(f"--keep-gain is {keep_gain:g}; wanted a fraction from 0 to 1")
    if output is None:
        return
    if at is None and keep_gain is None:
        raise ConfigError(f"--output {output}: which model is to be saved there? Say so by --at or --keep-gain")
    folder = Path(output)
    if folder.exists() and not (folder.is_dir() and ((folder / MODEL_FILE).is_file() or not any(folder.iterdir()))):
        raise ConfigError(f"--output {output}: holds something else than a model of speechxfer, which is not replaced; choose another folder")  # fmt: skip  # noqa: E501
