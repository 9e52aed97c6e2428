"""What a run folder holds, whatever is missing of it: a run may have been interrupted, had no test split, or be old."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.config import FinetuneConfig, build, merge, to_dict
from speechxfer.data.labels import named
from speechxfer.data.manifest import Manifest, Utterance, data_digest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation.comparison import Comparison, compare_systems
from speechxfer.evaluation.hypotheses import Hypotheses, Task
from speechxfer.evaluation.metrics import align
from speechxfer.evaluation.results import Evaluation, Result, compare
from speechxfer.runs import Environment, InterpolationCurve, PlanTable, RunFolder
from speechxfer.sources import FileSource


@dataclass(frozen=True)
class FinishedRun:
    """A run's settings and figures, and what was said of each utterance of the test split."""

    folder: Path
    config: FinetuneConfig
    #: Empty until the run has ended.
    metrics: Mapping[str, Any]
    #: The history.
    epochs: Sequence[Mapping[str, Any]]
    #: Those of "train", "dev", "test", "retain" and "replay" that can still be read.
    manifests: Mapping[str, Manifest]
    #: What the untouched and the adapted model say of the test split.
    before: Hypotheses | None
    after: Hypotheses | None
    #: The adapted model's, compared with the test split.
    evaluation: Evaluation | None
    plan: PlanTable | None = None
    environment: Environment | None = None
    interpolation: InterpolationCurve | None = None
    #: What cannot be shown, and why.
    notes: Sequence[str] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether classes are told instead of text written."""
        return self.config.head_type.is_classifier

    @property
    def normalizer(self) -> TextNormalizer:
        """What is applied to both sides before errors are counted."""
        return _normalizer(self.config)

    @property
    def worst(self) -> Sequence[Result]:
        """Utterances with errors, the worst first; only the few of `metrics.json` where there is nothing better."""
        if self.evaluation:
            return [result for result in self.evaluation.results if result.errors]
        kept = [item for item in self.metrics.get("after", {}).get("worst", []) if item["errors"]]
        return [self._kept(place, item) for place, item in enumerate(kept)]

    def comparison(self) -> Comparison | None:
        """Before and after on the same utterances, where both are known."""
        if self.before is None or self.after is None:
            return None
        return compare_systems(self.manifests["test"], self.before, self.after, self.normalizer)

    def _kept(self, place: int, item: Mapping[str, Any]) -> Result:
        texts = item["reference"], item["hypothesis"]
        # Where in the file it begins is not known, so there is nothing to play.
        utterance = Utterance(audio=item["audio"], source=FileSource(Path()), origin=item["line"])
        pair = None if self.is_classifier or not any(texts) else _aligned(*texts, self.normalizer)
        return Result(utterance, *texts, item["errors"], place, pair)


def read_run(folder: Path, places: Mapping[str, Any] | None = None) -> FinishedRun:
    """Read what is there.

    Args:
        folder: of the run.
        places: where its manifests are now, by setting, if they have been moved.

    Raises:
        ConfigError: the folder is no run's.
        DataError: a file of the run is damaged.
    """
    run = RunFolder(folder)
    run.check_run()
    config = build(FinetuneConfig, merge([to_dict(run.moved_config), places or {}]))
    metrics: Mapping[str, Any] = run.metrics
    notes: list[str] = []
    manifests = _manifests(config, notes)
    task: Task = config.head_type.task
    test = manifests.get("test")
    said: dict[str, Hypotheses | None] = {}
    for name in ("before", "after"):
        texts = _said(folder / f"{name}.json", test, expected=name in metrics, notes=notes)
        said[name] = None if texts is None else Hypotheses(name, task, texts)
    evaluation = None
    if test is not None and said["after"] is not None and "after" in metrics:
        labels = [item["label"] for item in metrics["after"].get("classes", [])]
        evaluation = compare(test, _predictions(said["after"], labels, config), _normalizer(config))
    return FinishedRun(
        folder=folder,
        config=config,
        metrics=metrics,
        epochs=run.history,
        manifests=manifests,
        before=said["before"],
        after=said["after"],
        evaluation=evaluation,
        plan=run.plan,
        environment=run.environment,
        interpolation=run.interpolation,
        notes=notes,
    )


def _read(path: Path, default: Any, *names: str) -> Any:
    return _parsed(path.read_text(encoding="utf-8"), str(path), default, names) if path.is_file() else default


def _parsed(text: str, where: str, kind: Any, names: Sequence[str]) -> Any:
    """A value of the same kind, with these names in it."""
    way_out = "remove the file to have a report without it"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: is not JSON ({error}); {way_out}") from error
    if not isinstance(found, type(kind)):
        raise DataError(f"{where}: holds a {type(found).__name__}; wanted a {type(kind).__name__}, or {way_out}")
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{where}: has no {missing[0]}, so it is not what a run wrote; {way_out}")
    return found


def _manifests(config: FinetuneConfig, notes: list[str]) -> dict[str, Manifest]:
    """Those that can be read; of the others, a note."""
    paths = {"train": config.train, "dev": config.dev, "test": config.test}
    paths |= {"retain": config.retain, "replay": config.retention.replay}
    found = {}
    for name, path in paths.items():
        if path is None:
            continue
        try:
            found[name] = Manifest.read(path)
        except (DataError, ConfigError) as error:
            notes.append(
                f"The {name} manifest cannot be read any more: {error}. If it was moved, report it with --{name}."
            )
    return found


def _said(path: Path, test: Manifest | None, *, expected: bool, notes: list[str]) -> tuple[str, ...] | None:
    """What was said of each utterance of the test split, if it is still the one that it was said of."""
    if test is None:
        return None
    known = _read(path, {}, "data", "hypotheses")
    if not known:
        if expected:
            notes.append(f"There is no {path.name}, so that utterances cannot be looked at one by one.")
        return None
    if known["data"] != data_digest([test]):
        notes.append(f"{test.path} has changed since the run: {path.name} is of other lines and is left out.")
        return None
    return tuple(known["hypotheses"])


def _predictions(said: Hypotheses, labels: Sequence[str], config: FinetuneConfig) -> list[Prediction]:
    if said.task == "transcription":
        return [Hypothesis(text) for text in said.texts]
    multi_label = config.multi_label
    return [_certain(named(text, multi_label=multi_label), labels, multi_label) for text in said.texts]


def _certain(chosen: Sequence[str], labels: Sequence[str], multi_label: bool) -> Classification:
    """Probabilities are not kept, and what is counted here does not need them."""
    return Classification(tuple(labels), tuple(float(label in chosen) for label in labels), multi_label)


def _normalizer(config: FinetuneConfig) -> TextNormalizer:
    return TextNormalizer(config.text.resolved_scoring_normalizer)


def _aligned(reference: str, hypothesis: str, normalizer: TextNormalizer) -> Any:
    return align([reference], [hypothesis], normalizer)[0] if normalizer(reference) else None
