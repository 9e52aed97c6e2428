"""`RunFolder`: the only place that knows what the files of a run are called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

import tomli_w

from speechxfer.config import FinetuneConfig, moved, read_config, to_dict
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation.predictions import read_predictions, write_predictions
from speechxfer.evaluation.results import Evaluation
from speechxfer.records import converted
from speechxfer.runs.schema import (
    VERSION,
    Allotment,
    Environment,
    Epoch,
    InterpolationCurve,
    Metrics,
    PlanTable,
    SelfTraining,
    Sources,
)
from speechxfer.storage import recover_all, replacing_folder, write_json, write_text

_CONFIG, _LOCK, _HISTORY, _METRICS = "config.toml", "run.lock", "metrics.jsonl", "metrics.json"
_PLAN, _ENVIRONMENT, _SOURCES = "plan.json", "environment.json", "sources.json"
_INTERPOLATION, _REPORT, _TIME = "interpolation.json", "report.html", "time.json"
_SELF_TRAINING, _PSEUDO_LABELS = "self_training.json", "pseudo_labels.jsonl"
_FILES = (
    _HISTORY, _METRICS, _PLAN, _ENVIRONMENT, _SOURCES, _INTERPOLATION, _REPORT, _TIME, _SELF_TRAINING, _PSEUDO_LABELS,
)  # fmt: skip
_MODEL, _CHECKPOINTS, _NON_SPEECH, _DATA, _PREDICTIONS = "model", "checkpoints", "non_speech", "data", "predictions"
_FOLDERS = (
    _CHECKPOINTS, _MODEL, _NON_SPEECH, _DATA, _PREDICTIONS, "tensorboard", "scratch", "teacher", "interpolated",
)  # fmt: skip
#: What versions before this layout wrote and this one does not.
_OLD = ("before.json", "after.json", "retain_before.json", "retain_after.json", "nothing")
_REMEDY = "remove the file to go on without it"

#: The splits whose predictions are kept, and the models that make them.
Measured: TypeAlias = Literal["test", "retain"]
Predictor: TypeAlias = Literal["pre-trained", "adapted"]

_T = TypeVar("_T")


class RunFolder:
    """The files of a run. Nothing is read or written until it is asked for.

    What a run has not written yet is None when it is read, or empty. Reading raises `DataError` for a damaged file, or
    one of another version, with its name; writing raises `StorageError` and leaves the file that was there.

    Args:
        path: of the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """Of the folder, by which the run is known."""
        return self.path.absolute().name

    # Places

    @property
    def config_file(self) -> Path:
        """The settings, as TOML."""
        return self.path / _CONFIG

    @property
    def lock(self) -> Path:
        """Held by the process that writes; no part of the run."""
        return self.path / _LOCK

    @property
    def model(self) -> Path:
        """The folder of the best model so far."""
        return self.path / _MODEL

    @property
    def model_card(self) -> Path:
        """The description that goes with the model."""
        return self.model / "README.md"

    @property
    def checkpoints(self) -> Path:
        """The folder of what a run needs to be resumed."""
        return self.path / _CHECKPOINTS

    @property
    def non_speech(self) -> Path:
        """The folder of the utterances without speech that were made for the run."""
        return self.path / _NON_SPEECH

    @property
    def data(self) -> Path:
        """The folder of manifests that note what data in memory was."""
        return self.path / _DATA

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def interpolated(self) -> Path:
        """The folder of a model between the pre-trained and the adapted one."""
        return self.path / "interpolated"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / _REPORT

    @property
    def scratch(self) -> RunFolder:
        """The run of the same shape from random weights."""
        return RunFolder(self.path / "scratch")

    @property
    def teacher(self) -> RunFolder:
        """The run on the labels alone, whose model predicts the labels of recordings that have none."""
        return RunFolder(self.path / "teacher")

    @property
    def pseudo_labels(self) -> Path:
        """The manifest of recordings without labels and of the predictions that are used as such."""
        return self.path / _PSEUDO_LABELS

    # What state the folder is in

    @property
    def has_config(self) -> bool:
        """Whether there are settings."""
        return self.config_file.is_file()

    @property
    def is_run(self) -> bool:
        """Whether a run was begun here."""
        return self.has_config and any((self.path / name).exists() for name in (*_FOLDERS, *_FILES, *_OLD))

    @property
    def is_occupied(self) -> bool:
        """Whether there is anything, whoever wrote it."""
        return self.path.is_dir() and any(item.name != _LOCK for item in self.path.iterdir())

    @property
    def is_begun(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return any(self.checkpoints.glob("step-*"))

    @property
    def is_trained(self) -> bool:
        """Whether there is a model, or a checkpoint after the first step."""
        steps = (int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*"))
        return self.model.exists() or any(steps) or (self.teacher.path.is_dir() and self.teacher.is_trained)

    def check_run(self) -> None:
        """Look whether this is the folder of a run of the present layout.

        Raises:
            ConfigError: it is not, with the folder that may be meant.
        """
        wanted = "the folder of a run, which `speechxfer finetune --output` names"
        if not self.path.is_dir():
            seen = "is a file" if self.path.exists() else "there is no such folder"
            raise ConfigError(f"{self}: {seen}; wanted {wanted}")
        if not self.has_config:
            near = f"; did you mean {self.path.parent}?" if (self.path.parent / _CONFIG).is_file() else ""
            raise ConfigError(f"{self}: is not a run (no {_CONFIG}); wanted {wanted}{near}")
        self.check_layout()

    def check_finished(self) -> None:
        """Look whether this is the folder of a run that has ended.

        Raises:
            ConfigError: it is not.
        """
        for name in (_CONFIG, _METRICS, _MODEL):
            if not (self.path / name).exists():
                raise ConfigError(f"{self}: is not a finished run (no {name}); wanted the --output of a finetune")
        self.check_layout()

    def check_layout(self) -> None:
        """Look whether the files are of the present layout.

        Raises:
            ConfigError: an earlier version wrote them.
        """
        old = next((name for name in _OLD if (self.path / name).exists()), None)
        if old is not None:
            raise ConfigError(
                f"{self}: was written by an earlier version of speechxfer ({old}), whose layout is not read any more; "
                f"{self.model} can still be used, but the run has to start again: --overwrite, or another --output"
            )

    def go_on_from(self, other: RunFolder) -> None:
        """Take over where another run on the same data stands: its checkpoints, its history and its model.

        Raises:
            StorageError: the disk is full or read-only.
        """
        for line in other.history:
            self.write_epoch(line)
        if other.allotment:
            self.write(other.allotment)
        for mine, theirs in ((self.model, other.model), (self.checkpoints, other.checkpoints)):
            with replacing_folder(mine) as temporary:
                shutil.copytree(theirs, temporary, dirs_exist_ok=True)

    def clear(self) -> None:
        """Remove all that a run has written here, except its settings."""
        for name in (*_FOLDERS, *_FILES, *_OLD):
            path = self.path / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def repair(self) -> None:
        """Remove what a killed run left half-written, and bring back what it was about to replace."""
        for folder in (self.path, self.checkpoints, self.non_speech, self.path / _PREDICTIONS):
            recover_all(folder)

    # Files

    @property
    def config(self) -> FinetuneConfig:
        """The settings as they were written.

        Raises:
            ConfigError: they cannot be used.
        """
        return read_config(self.config_file)

    @property
    def moved_config(self) -> FinetuneConfig:
        """The settings, with the paths of what was moved along with the folder.

        Raises:
            ConfigError: they cannot be used.
        """
        return moved(self.config, self.path)

    @property
    def config_text(self) -> str:
        """The settings as TOML."""
        return self.config_file.read_text(encoding="utf-8")

    def write_config(self, config: FinetuneConfig) -> None:
        """Write the settings, so that the run can be reproduced."""
        write_text(self.config_file, tomli_w.dumps(to_dict(config)))

    @property
    def history(self) -> list[Epoch]:
        """One line an epoch."""
        path = self.path / _HISTORY
        return list(_lines(path)) if path.is_file() else []

    def write_epoch(self, line: Epoch) -> None:
        """Add the line of an epoch to the history; lines of this and later epochs, of an earlier try, are dropped."""
        kept = [old for old in self.history if old["epoch"] < line["epoch"]]
        lines = [json.dumps({"version": VERSION, **one}) for one in [*kept, line]]
        write_text(self.path / _HISTORY, "".join(f"{one}\n" for one in lines))

    @property
    def metrics(self) -> Metrics:
        """The figures of the whole run; empty until it has ended."""
        return self._read(_METRICS, Metrics) or Metrics()

    def write_metrics(self, metrics: Metrics) -> None:
        """Write the figures of the whole run."""
        write_json(self.path / _METRICS, {"version": VERSION, **metrics})

    @property
    def plan(self) -> PlanTable | None:
        """What was frozen and what was trained."""
        return self._read(_PLAN, PlanTable)

    @property
    def environment(self) -> Environment | None:
        """What the run was computed with."""
        return self._read(_ENVIRONMENT, Environment)

    @property
    def sources(self) -> Sources | None:
        """The model and the data that the run began with."""
        return self._read(_SOURCES, Sources)

    @property
    def interpolation(self) -> InterpolationCurve | None:
        """Scores between the pre-trained and the adapted model, where somebody has measured them."""
        return self._read(_INTERPOLATION, InterpolationCurve)

    @property
    def allotment(self) -> Allotment | None:
        """What a run with a limit of time uses of its data."""
        return self._read(_TIME, Allotment)

    @property
    def self_training(self) -> SelfTraining | None:
        """What became of recordings without labels."""
        return self._read(_SELF_TRAINING, SelfTraining)

    def write(self, content: PlanTable | Environment | Sources | InterpolationCurve | Allotment | SelfTraining) -> None:
        """Write a file of the run; its name follows from what it holds."""
        names: dict[type, str] = {
            PlanTable: _PLAN, Environment: _ENVIRONMENT, Sources: _SOURCES, InterpolationCurve: _INTERPOLATION,
            Allotment: _TIME, SelfTraining: _SELF_TRAINING,
        }  # fmt: skip
        write_json(self.path / names[type(content)], {"version": VERSION, **asdict(content)})

    def predictions_file(self, split: Measured, model: Predictor) -> Path:
        """The predictions of one of the two models for the utterances of a split, one line an utterance."""
        return self.path / _PREDICTIONS / f"{split}.{model}.jsonl"

    def predictions(self, split: Measured, model: Predictor, folder: Path | None = None) -> Evaluation | None:
        """The results of one of the two models on a split; None where there are none.

        Args:
            split: "test" or "retain".
            model: "pre-trained" or "adapted".
            folder: where the split's manifest is, from which relative paths of audio are seen; without it, where the
                settings have it.
        """
        path = self.predictions_file(split, model)
        if not path.is_file():
            return None
        folder = folder or Path(getattr(self.moved_config, split) or "").parent
        try:
            return read_predictions(path, folder)
        except DataError as error:
            raise DataError(f"{error}; {_REMEDY}") from error

    def write_predictions(self, split: Measured, model: Predictor, results: Evaluation) -> None:
        """Write the results of one of the two models on a split."""
        write_predictions(self.predictions_file(split, model), results)

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        path = self.path / name
        if not path.is_file():
            return None
        return _parsed(_text(path), str(path), kind)


def _lines(path: Path) -> Iterator[Epoch]:
    for number, line in enumerate(_text(path).splitlines(), start=1):
        epoch = _parsed(line, where := f"{path}:{number}", dict[str, Any])
        if not isinstance(epoch.get("epoch"), int):
            raise DataError(f"{where}: has no number of an epoch, so it is not what a run writes; {_REMEDY}")
        yield cast(Epoch, epoch)


def _text(path: Path) -> str:
    """The text of a file; what is not UTF-8 is not JSON either, which is reported where it is parsed."""
    return path.read_text(encoding="utf-8", errors="replace")


def _parsed(text: str, where: str, kind: type[_T]) -> _T:
    """A JSON object of the present version as a type, without its version."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is damaged, it is not JSON ({error}); {_REMEDY}") from error
    if not isinstance(found, dict):
        raise DataError(f"{where}: holds a {type(found).__name__}; wanted an object, or {_REMEDY}")
    if (version := found.pop("version", VERSION)) != VERSION:
        raise DataError(f"{where}: is of version {version}, but this version of speechxfer reads {VERSION}; upgrade it")
    try:
        return converted(kind, found)
    except ValueError as error:
        raise DataError(f"{where}: is not what a run writes ({error}); {_REMEDY}") from error
