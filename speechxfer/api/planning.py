"""Which transfer fits: what each layer of a model knows of a domain, and trials within a given time."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.api.settings import Request, Settings
from speechxfer.config import HEADS, flat, read_settings, to_dict
from speechxfer.config.durations import seconds
from speechxfer.data.dataset import Data, Dataset
from speechxfer.errors import ConfigError
from speechxfer.extras import explained
from speechxfer.progress import Progress
from speechxfer.storage import only_writer, write_json

if TYPE_CHECKING:
    from speechxfer.planner.planner import Plan
    from speechxfer.planner.probe import Probe
    from speechxfer.planner.similarity import Similarity
    from speechxfer.training.beginning import Beginning
    from speechxfer.training.finetune import Run

#: What `plan="auto"` may spend where the job has epochs, and the fraction of the time where it has a limit. A trial
#: needs a thirtieth of the run to be worth something: there is room for two to four, of which the best is not lost.
_AUTOMATIC_S, _OF_TIME = 300.0, 0.15
#: Why the name of the best candidate is printed before all else.
_UNTRIED = (
    "no candidate could be tried in the time there is; what is expected to do best is chosen, and was not measured"
)


@explained()
def plan(
    models: str | Sequence[str],
    *,
    train: Data | None = None,
    dev: Data | None = None,
    head: str | None = None,
    budget: str | float = "15m",
    presets: Sequence[str] = (),
    vary: bool = True,
    output: str | os.PathLike[str] | None = None,
    config: Settings | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Plan:
    """Measure your data and models, try what is likely to do well, and choose a way to transfer.

    `sx.finetune(**made.settings(), train=…, dev=…)` then runs what was chosen.

    Args:
        models: pre-trained models to choose among.
        train: what trials learn from; data as for `finetune`.
        dev: what they are measured on.
        head: as for `finetune`.
        budget: for all of it: seconds, or a text such as "90s", "15m" or "1h".
        presets: only these ways to transfer; all of them if none is given.
        vary: try other learning rates and depths as well, where there is time.
        output: a TOML file for `finetune(plan=…)`, beside which a page and JSON are written.
        config: settings that all others are laid over.
        progress: receives what goes on.
        settings: of the run that is planned, as for `finetune`, but those of the group `plan`.

    Raises:
        ConfigError: settings that do not fit.
        DataError: unusable data, texts, labels or audio.
        CheckpointError: a model cannot be found or read.
        StorageError: another plan is being made there, or it cannot be written.
    """
    names = [models] if isinstance(models, str) else list(dict.fromkeys(models))
    if not names:
        raise ConfigError("models is empty; wanted the name of one pre-trained model at least")
    if given := [name for name in flat(dict(settings)) if name.startswith("plan")]:
        raise ConfigError(f"{given[0]}: how the model is transferred is what the plan is to find; give it to finetune, or try ways by presets")  # fmt: skip  # noqa: E501
    place = {"output": str(Path(output).with_suffix("")) if output else None}
    given_ = {"model": names[0], "train": train, "dev": dev, "head": head, **place, **settings}
    asked = Request.of(config, None, given_)
    return _planned(
        asked, names, seconds(budget, "--budget"), presets, vary, Path(output) if output else None, progress
    )


def _planned(
    asked: Request, models: Sequence[str], budget_s: float, presets: Sequence[str], vary: bool, output: Path | None,
    progress: Progress | None, *, horizon_s: float | None = None,
) -> Plan:  # fmt: skip
    """Make a plan, show it, and write it down where there is an output."""
    config, progress = asked.config, progress or Progress()
    with _held(output):
        # Only now torch: a wrong setting is reported at once.
        from speechxfer.planner.page import COLUMNS, rows, write_plan
        from speechxfer.planner.planner import make_plan

        made = make_plan(
            config, models, budget_s, presets=presets or None, vary=vary, horizon_s=horizon_s, data=asked.data,
            progress=progress,
        )  # fmt: skip
        if not made.was_tried:
            progress.log(_UNTRIED)
        progress.table("candidates, the best first", COLUMNS, rows(made.to_dict()))
        written = write_plan(made, output) if output else []
    expected = f", with an expected error of {made.prediction} on dev" if made.prediction else ""
    progress.log(f"chosen: {made.choice.title(several=made.several)}{expected}")
    if written:
        progress.log(f"written: {', '.join(map(str, written))}")
    return made


@contextlib.contextmanager
def _held(output: Path | None) -> Iterator[None]:
    """The file that a plan is written to, while it is made."""
    if output is None:
        yield
        return
    if output.suffix != ".toml":
        raise ConfigError(f"--output {output}: the plan is TOML; wanted a name that ends in .toml")
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a folder; wanted the name of a file")
    with only_writer(output.with_name(f".{output.name}.lock"), str(output)):
        yield


def automatic(
    asked: Request, *, resume: bool, overwrite: bool, progress: Progress | None
) -> tuple[Request, Beginning | None]:
    """What is asked for with a plan made for it, beside the run's folder, and what the run goes on from.

    A run that is resumed keeps its own plan.

    Raises:
        ConfigError: the run's folder is not free, or several processes would make a plan each.
    """
    from speechxfer.runs import RunFolder
    from speechxfer.runs.ownership import check_free

    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError("--plan auto: several processes would plan at once; run speechxfer plan first, then --plan plan.toml")  # fmt: skip  # noqa: E501
    free = replace(asked, given={name: value for name, value in asked.given.items() if name != "plan"})
    config = free.config
    folder, path = RunFolder(config.output), automatic_file(config.output)
    if resume and folder.is_run:
        before = folder.config
        training = {name: getattr(before.training, name) for name in ("batch_seconds", "speed_copies")}
        return replace(asked, plan={"plan": to_dict(before.plan), "training": training}), None
    begun = None
    if not (resume and path.is_file()):
        check_free(folder, config, resume=resume, overwrite=overwrite)
        given_s = seconds(config.training.time, "training.time") if config.training.time else None
        budget_s = _OF_TIME * given_s if given_s else _AUTOMATIC_S
        horizon_s = given_s - budget_s if given_s else None
        made = _planned(free, [config.model], budget_s, (), True, path, progress, horizon_s=horizon_s)
        # A teacher has less time than the run that was planned.
        begun = None if config.unlabeled else made.beginning
    return replace(asked, plan=read_settings(path)), begun


def automatic_file(output: str | os.PathLike[str]) -> Path:
    """Where the plan of a run lies that was made for it, beside the run's folder."""
    folder = Path(output)
    return folder.with_name(f"{folder.name}-plan.toml")


def fared(output: str | os.PathLike[str], run: Run, progress: Progress) -> None:
    """Report how the prediction of a plan that was made for a run fared, also on the plan's page."""
    from speechxfer.planner.page import write_outcome
    from speechxfer.runs import RunFolder

    path, dev = automatic_file(output), RunFolder(run.folder).metrics["dev"]
    if path.with_suffix(".json").is_file() and (text := write_outcome(path, dev.get("cer", dev.get("error", 1.0)))):
        progress.log(text)


@explained()
def probe(
    model: str,
    *,
    train: Data,
    dev: Data,
    head: str = "ctc",
    language: str | None = None,
    layers: Sequence[int] | None = None,
    sample_s: float = 600.0,
    reference: Data | None = None,
    strict: bool = False,
    device: str = "auto",
    output: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Probe, Similarity]:
    """Train the same light head on every layer of a frozen model: which layer knows most of your task?

    Args:
        model: pre-trained.
        train: what probes learn from; data as for `finetune`.
        dev: what they are measured on.
        head: the head of the run that is prepared; a probe of characters or of classes is trained, as its task is.
        language: spoken, by its code or English name; of an MMS model it chooses the adapters.
        layers: probe only these; so many layers stand below the probe.
        sample_s: seconds of the training audio that are used; of dev half as many.
        reference: what the model was trained on, for a distance.
        strict: a file that is a little shorter than it should be is an error.
        device: "auto", "cpu", "cuda" or "cuda:N".
        output: folder for `probe.json` and `probe.png`.
        progress: receives what goes on.

    Returns:
        The error of the head by layer, and how near the domain is to what the model knows.

    Raises:
        CheckpointError: the model cannot be found or read, or lacks the language.
        ConfigError: no such head, layer or device.
        DataError: too few utterances, a class that is not in train, unreadable audio.
        StorageError: another process writes there, or it cannot be written.
    """
    if not 1 <= sample_s < math.inf:
        raise ConfigError(f"--sample is {sample_s:g}; wanted seconds, at least 1")
    HEADS.find(head)
    from speechxfer.encoders.checkpoints import find

    checkpoint = find(model, language=language)
    data = _opened({"train": train, "dev": dev, "reference": reference}, strict=strict)
    from speechxfer.runs import RunFolder

    folder = Path(output) if output else None
    with only_writer(RunFolder(folder).lock, str(folder)) if folder else contextlib.nullcontext():
        # Only now torch: a wrong option is reported at once.
        from speechxfer.planner.drawing import draw_probes
        from speechxfer.planner.examination import examine

        found, similar = examine(
            checkpoint, data["train"], data["dev"], head=head, seams=layers, seconds=sample_s,
            reference=data.get("reference"), device=device, progress=progress,
        )  # fmt: skip
        if folder:
            write_json(folder / "probe.json", {**found.to_dict(), "similarity": similar.to_dict()})
            draw_probes([found], folder / "probe.png")
    return found, similar


def _opened(given: Mapping[str, Data | None], *, strict: bool) -> dict[str, Dataset]:
    """The data that is given, of which all files are there."""
    data = {name: Dataset.of(value, name) for name, value in given.items() if value is not None}
    for dataset in data.values():
        dataset.check_files()
    return {name: dataset.strictly() for name, dataset in data.items()} if strict else data
