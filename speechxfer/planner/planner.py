"""Choose a plan for a domain: candidates in the order of what is expected, and by trials in the time there is."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from speechxfer.config import HEADS, FinetuneConfig, PlanConfig, flat, merge, nested, to_dict
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.device import choose_device
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, TrainingError
from speechxfer.opening import open_checkpoint
from speechxfer.planner.candidates import Candidate, candidates, hastened
from speechxfer.planner.cases import Amount, Case, case_of, expected
from speechxfer.planner.excluded import NOT_IN_TRIALS, PLACES
from speechxfer.planner.forecast import Forecast
from speechxfer.planner.racing import Entry, Horizon, Race
from speechxfer.planner.transferability import Score, score
from speechxfer.planner.trial import Bench
from speechxfer.progress import Progress
from speechxfer.training.beginning import Beginning
from speechxfer.training.epochs import unlimited
from speechxfer.training.usable import readable
from speechxfer.transfer.presets import PRESETS

#: Fraction of the time for scores of layers, and fraction of a run's whole time that is left for its steps: the rest is
#: for opening, decoding dev and the final measurement.
_SCORING, _STEPPING = 0.05, 0.75
#: Fraction of the time after which no further step is timed.
_TIMING = 0.02
#: Where training the whole encoder has fewer steps in a run, its upper layers alone get further; and where it has fewer
#: than the second number, also at higher rates (`scripts.bench.plan_in_time`).
_FEW_STEPS, _VERY_FEW_STEPS = 500, 200
#: The same where it uses each utterance fewer times than the first number, and has fewer steps than the second.
_FEW_PASSES, _FEW_STEPS_OF_NEW = 5, 2000
#: A run with at least as many passes over little speech also learns from it at two other speeds (Ko et al., 2015, Audio
#: augmentation for speech recognition). Trials are too short to show what that is worth.
_MANY_PASSES, _COPIES = 8, 2


@dataclass(frozen=True)
class Plan:
    """The measurements, and the chosen candidate."""

    base: FinetuneConfig
    amount: Amount
    case: Case
    #: By model; None where there was no time.
    scores: Mapping[str, Score | None]
    #: The chosen one first, then the others that were tried, then the rest.
    entries: Sequence[Entry]
    budget_s: float
    spent_s: float
    #: Seconds of the run that the plan is for; None where it has epochs.
    horizon_s: float | None = None
    #: Steps in that time, if the whole encoder is trained.
    steps: float = math.inf
    #: Passes of the run over the training data.
    passes: float = 0.0
    #: What the run goes on from; None where the choice was not tried.
    beginning: Beginning | None = None

    @property
    def choice(self) -> Candidate:
        """The chosen candidate."""
        return self.entries[0].candidate

    @property
    def was_tried(self) -> bool:
        """Whether the choice rests on a trial."""
        return bool(self.entries[0].points)

    @property
    def prediction(self) -> Forecast | None:
        """The error on dev that is expected of the run."""
        return self.entries[0].error

    @property
    def several(self) -> bool:
        """Whether models are compared."""
        return len(self.scores) > 1

    def settings(self) -> dict[str, Any]:
        """Settings for `finetune`: model, head, plan, epochs, and the other settings of the trials."""
        config = self.choice.config(self.base)
        values = to_dict(config)
        plan = {name: value for name, value in values["plan"].items() if value not in ("", False)}
        chosen = {"model": values["model"], "head": values["head"], "plan": plan, "training": {"epochs": self.base.training.epochs}}  # fmt: skip  # noqa: E501
        usual = flat(to_dict(FinetuneConfig(self.base.model, self.base.train, self.base.dev, self.base.output)))
        given = {
            name: value
            for name, value in flat(to_dict(replace(config, plan=PlanConfig()))).items()
            if value != usual.get(name) and name not in (*PLACES, *NOT_IN_TRIALS)
        }
        copies = {"training": {"speed_copies": _COPIES}} if self.at_other_speeds else {}
        return merge([chosen, nested(given), copies])

    @property
    def at_other_speeds(self) -> bool:
        """Whether a run uses little speech so often that it would learn it by heart."""
        if self.amount.of_rarest is not None or self.amount.is_much or self.base.training.speed_copies:
            return False
        return self.passes >= _MANY_PASSES

    def run_s(self, entry: Entry) -> float | None:
        """Seconds of a whole run of a candidate, without measuring; None where it was not timed."""
        if entry.cost is None:
            return None
        if self.horizon_s is not None:
            return self.horizon_s
        steps = (
            self.base.training.epochs * self.amount.seconds / entry.candidate.config(self.base).training.batch_seconds
        )
        return entry.cost.opening_s + entry.cost.below_s * self.amount.seconds + steps * entry.cost.step_s

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        lines = [
            {
                "name": one.candidate.title(several=self.several), "model": one.candidate.model,
                "plan": {"preset": one.candidate.preset, **one.candidate.changes},
                "batch_seconds": one.candidate.batch_seconds, "run_s": self.run_s(one),
                "cost": asdict(one.cost) if one.cost else None, "trials": [asdict(point) for point in one.points],
                "expected": asdict(one.error) if one.error else None, "ruled_out": one.ruled_out,
            }
            for one in self.entries
        ]  # fmt: skip
        return {
            "case": asdict(self.case), "amount": {**asdict(self.amount), "in_words": f"{self.amount}"},
            "budget_s": self.budget_s, "whole_steps": round(self.steps) if self.steps < math.inf else None,
            "spent_s": round(self.spent_s, 1), "choice": self.settings(), "was_tried": self.was_tried,
            "at_other_speeds": self.at_other_speeds,
            "prediction": asdict(self.prediction) if self.prediction else None, "candidates": lines,
            "scores": {name: asdict(one) if one else None for name, one in self.scores.items()},
        }  # fmt: skip


def make_plan(
    base: FinetuneConfig,
    models: Sequence[str],
    budget_s: float,
    *,
    presets: Sequence[str] | None = None,
    vary: bool = True,
    horizon_s: float | None = None,
    data: Mapping[str, Data] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Order candidates by what is expected of them, try them as far as there is time, and choose one.

    Args:
        base: settings of the planned run, except model and plan; its epochs are those of a whole run.
        models: pre-trained models to choose from.
        budget_s: seconds for everything.
        presets: only these; all by default.
        vary: also try other depths, learning rates and sizes of steps.
        horizon_s: seconds of the planned run, where it has a time instead of epochs.
        data: "train" and "dev" in memory; by default they are read from the paths in `base`.
        progress: receives the messages.

    Raises:
        ConfigError: no such model, preset or device.
        DataError: unusable manifests, texts, labels or audio.
        CheckpointError: a model cannot be found or read.
        TrainingError: no candidate that was tried learned anything.
    """
    started, progress = time.monotonic(), progress or Progress()
    _check_wanted(base, models, presets)
    train, dev = _both(base, data or {}, progress)
    base = unlimited(base, lambda: len(train))
    with TemporaryDirectory(prefix="speechxfer-plan-") as folder:
        bench = Bench(base, train, dev, Path(folder))
        # Errors that all candidates share are raised early.
        timing_s = _TIMING * (horizon_s or budget_s)
        parts = {name: bench.check(replace(base, model=name), timing_s, progress) for name in models}
        amount = Amount.of(train, classes=base.head_type.is_classifier)
        progress.log(f"data: {amount}")
        stepping = _STEPPING * horizon_s if horizon_s else None
        horizon = Horizon(base.training.epochs, stepping, train.duration_s)
        race = Race(base, bench, horizon, started + budget_s, progress, time.monotonic)
        has_time = bool(race.first_fraction(2, spared_s=2 * _SCORING * budget_s))
        scores = {
            name: _scored(name, base, part, race.left_s, progress) if has_time else None for name, part in parts.items()
        }
        # A domain that is near for one model is near.
        case = case_of(amount, near=any(one.near for one in scores.values() if one))
        progress.log(f"case {case.number}, {case.name}: {case.advice}")
        steps = stepping / bench.step_s if stepping else math.inf
        entries = race.run(_ordered(bench, base, case, presets, steps, vary=vary), vary=vary)
        begun = race.beginning(entries[0].candidate)
        _check_learned(entries)
        passes = _passes(bench, base, entries[0], stepping, timing_s)
    spent_s = time.monotonic() - started
    return Plan(base, amount, case, scores, entries, budget_s, spent_s, horizon_s, steps, passes, begun)


def _passes(bench: Bench, base: FinetuneConfig, chosen: Entry, stepping_s: float | None, timing_s: float) -> float:
    """Passes over the training data of a run that has so many seconds for its steps, or the epochs of the settings."""
    config = chosen.candidate.config(base)
    if stepping_s is None:
        return config.training.epochs
    if chosen.cost and chosen.cost.step_s:
        step_s, below_s = chosen.cost.step_s, chosen.cost.below_s
    else:  # it was not tried, or not for long enough
        step_s, below_s = bench.timed(config, timing_s)
    audio_s = bench.train.duration_s
    return max(stepping_s - below_s * audio_s, 0.0) / step_s * config.training.batch_seconds / audio_s


def _ordered(
    bench: Bench, base: FinetuneConfig, case: Case, presets: Sequence[str] | None, steps: float, *, vary: bool
) -> list[Candidate]:
    """The candidates, most promising first, for a run that has so many steps if the whole encoder is trained.

    None begins from scratch where the time is limited.
    """
    passes = steps * base.training.batch_seconds / bench.train.duration_s
    soon = steps < (_FEW_STEPS_OF_NEW if passes < _FEW_PASSES else _FEW_STEPS)
    order = [one for one in expected(case, soon=soon) if steps == math.inf or one != "from-scratch"]
    wanted = [one for one in order if presets is None or one in presets]
    found = candidates(list(bench.depths), wanted, bench.depths, vary=vary)
    return [hastened(one, base.head) for one in found] if steps < _VERY_FEW_STEPS else found


def _check_learned(entries: Sequence[Entry]) -> None:
    tried = [one for one in entries if one.points]
    if tried and all(one.loss is None for one in tried):
        raise TrainingError("no candidate learned anything in its trials, so none can be chosen; run finetune with one of them to see why")  # fmt: skip  # noqa: E501


def _check_wanted(base: FinetuneConfig, models: Sequence[str], presets: Sequence[str] | None) -> None:
    """Look for models, presets and a device that do not exist."""
    for name in models:
        find(name, language=base.language)
    if unknown := [name for name in presets or () if name not in PRESETS]:
        raise ConfigError(f"preset {unknown[0]!r} is not known; wanted one of {', '.join(PRESETS)}")
    choose_device(base.device)


def _scored(model: str, base: FinetuneConfig, train: Manifest, left_s: float, progress: Progress) -> Score | None:
    """What the layers of a model say of the domain, as far as there is time to look."""
    encoder = open_checkpoint(find(model, language=base.language)).encoder.to(choose_device(base.device))
    normalizer = TextNormalizer(base.text.new_head_normalizer)
    classes = HEADS.find(base.head).is_classifier
    found = score(encoder, model, train, _SCORING * left_s, normalizer, progress, classes=classes)
    if found is None:
        progress.log(f"{model}: no time for scores of its layers, so the domain is taken to be far")
    else:
        is_near = "near" if found.near else "far"
        progress.log(
            f"{model}: {is_near}; layer index {found.best} of {found.depth} says most of {found.utterances} utterances"
        )
    return found


def _both(base: FinetuneConfig, data: Mapping[str, Data], progress: Progress) -> tuple[Manifest, Manifest]:
    """The training set, as far as it can be read, and dev."""
    train, dev = (
        _opened(data.get(name, path), name, base) for name, path in (("train", base.train), ("dev", base.dev))
    )
    return readable(train, progress), dev.with_durations(warn=progress.warn)


def _opened(data: Data, name: str, base: FinetuneConfig) -> Manifest:
    dataset = Dataset.of(data, name)
    dataset.check_files()
    return dataset.strictly() if base.strict else dataset
