"""Choose a plan for a domain: by the textbook's case, then by trials of promising candidates, within a time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from speechxfer.config import FinetuneConfig, PlanConfig, flat, merge, nested, to_dict
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.device import choose_device
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, TrainingError
from speechxfer.planner.candidates import Candidate, candidates
from speechxfer.planner.cases import Amount, Case, case_of, expected
from speechxfer.planner.examination import examine
from speechxfer.planner.excluded import NOT_IN_TRIALS, PLACES
from speechxfer.planner.halving import Outcome, affordable, ranked, successive_halving
from speechxfer.planner.probe import Probe
from speechxfer.planner.similarity import Similarity
from speechxfer.planner.trial import Bench, Cost
from speechxfer.progress import Progress
from speechxfer.training.usable import readable
from speechxfer.transfer.presets import PRESETS

#: Seconds of training audio for probes: a fraction of the budget in seconds, and its limits.
_PROBED_RATIO, _MOST_PROBED_S, _LEAST_PROBED_S = 0.3, 300.0, 20.0
#: Least fraction of a whole run, and least steps, of a first trial; shorter ones predict too little.
_LEAST_RATIO, _LEAST_STEPS = 0.1, 40
#: Candidates that train more of a model learn slower and end better. So in trials of a fraction r of a whole run, the
#: favorite's error is multiplied by r to this power: on 5 minutes of Italian prompts, after a sixth of the run, Whisper
#: tiny.en had 2.8 times its final error with all layers trained, and 1.8 times with one: 0.64 = (1/6)**0.25.
_MARGIN = 0.25
#: Fraction of the time after the probes in which candidates may be timed.
_PRICING_RATIO = 0.3


@dataclass(frozen=True)
class Plan:
    """The measurements, and the chosen candidate."""

    base: FinetuneConfig
    amount: Amount
    case: Case
    #: By model.
    probes: Mapping[str, Probe]
    similarities: Mapping[str, Similarity]
    #: Costs of the candidates that were timed, most promising first.
    costs: Mapping[Candidate, Cost]
    rounds: tuple[Mapping[Candidate, Outcome], ...]
    #: The most promising preset before the trials.
    favorite: str
    choice: Candidate
    budget_s: float
    spent_s: float

    @property
    def several(self) -> bool:
        """Whether models are compared."""
        return len(self.probes) > 1

    def settings(self) -> dict[str, Any]:
        """Settings for `finetune`: model, head, plan, epochs, and the other settings of the trials."""
        values = to_dict(replace(self.base, model=self.choice.model, plan=self.choice.plan))
        plan = {name: value for name, value in values["plan"].items() if value not in ("", False)}
        chosen = {"model": values["model"], "head": values["head"], "plan": plan, "training": {"epochs": self.base.training.epochs}}  # fmt: skip  # noqa: E501
        usual = flat(to_dict(FinetuneConfig(self.base.model, self.base.train, self.base.dev, self.base.output)))
        given = {
            name: value
            for name, value in flat(to_dict(replace(self.base, plan=PlanConfig()))).items()
            if value != usual.get(name) and name not in (*PLACES, *NOT_IN_TRIALS)
        }
        return merge([chosen, nested(given)])

    def last(self, candidate: Candidate) -> Outcome | None:
        """The longest trial of a candidate."""
        return next((held[candidate] for held in reversed(self.rounds) if candidate in held), None)

    def ranking(self) -> list[Candidate]:
        """The chosen candidate, then the others by their last round, then those that were not tried."""
        rounds = reversed(self.rounds)
        order = [name for held in rounds for name in promising(held, self.favorite, self.base.training.epochs)]
        return list(dict.fromkeys([self.choice, *order, *self.costs]))

    def price(self, candidate: Candidate) -> Cost:
        """Cost of a run, corrected by the measured time of its longest trial."""
        cost, outcome = self.costs[candidate], self.last(candidate)
        return cost if outcome is None else corrected(cost, outcome)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        epochs = self.base.training.epochs
        lines = [
            {
                "model": one.model, "plan": {"preset": one.preset, **one.changes},
                "predicted_s": round(self.price(one).run_s(epochs), 1), "memory": self.costs[one].memory,
                "trained": self.costs[one].trained, "parameters": self.costs[one].parameters,
                "trials": [asdict(held[one]) for held in self.rounds if one in held],
            }
            for one in self.ranking()
        ]  # fmt: skip
        return {
            "case": asdict(self.case), "amount": asdict(self.amount), "budget_s": self.budget_s,
            "spent_s": round(self.spent_s, 1), "choice": self.settings(), "epochs": epochs, "candidates": lines,
            "probes": {name: probe.to_dict() for name, probe in self.probes.items()},
            "similarity": {name: one.to_dict() for name, one in self.similarities.items()},
        }  # fmt: skip


def promising(outcomes: Mapping[Candidate, Outcome], favorite: str, epochs: int) -> list[Candidate]:
    """As `ranked`, but the favorite has to be beaten by a margin, which is larger for shorter trials."""

    def at_the_end(name: Candidate, outcome: Outcome) -> Outcome:
        better = (outcome.epochs / epochs) ** _MARGIN if name.preset == favorite else 1.0
        return replace(outcome, error=outcome.error * better, loss=outcome.loss * better)

    return ranked({name: at_the_end(name, outcome) for name, outcome in outcomes.items()})


def chosen(rounds: Sequence[Mapping[Candidate, Outcome]], favorite: str, epochs: int) -> Candidate:
    """The best of the last round, but with the favorite preset if there was no time to try that one.

    The candidates tried instead were cheap, and say nothing about the favorite.
    """
    best = promising(rounds[-1], favorite, epochs)[0]
    tried = {(one.model, one.preset) for held in rounds for one in held}
    return best if (best.model, favorite) in tried else Candidate(best.model, favorite)


def corrected(cost: Cost, outcome: Outcome) -> Cost:
    """The cost with the measured seconds per epoch of a trial."""
    return replace(cost, epoch_s=max(outcome.seconds - cost.once_s, 0.5 * outcome.seconds) / outcome.epochs)


def make_plan(
    base: FinetuneConfig,
    models: Sequence[str],
    budget_s: float,
    *,
    presets: Sequence[str] | None = None,
    vary: bool = True,
    data: Mapping[str, Data] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Measure data and models, try promising candidates, and choose one.

    Args:
        base: settings of the planned run, except model and plan; its epochs are those of a whole run.
        models: pre-trained models to choose from.
        budget_s: seconds for everything; a trial that has started is finished.
        presets: only these; all by default.
        vary: also try other learning rates and depths, if there is time.
        data: "train" and "dev" in memory; by default they are read from the paths in `base`.
        progress: receives the messages.

    Raises:
        ConfigError: the budget is shorter than one epoch of the cheapest candidate.
        DataError: unusable manifests, texts, labels or audio.
        CheckpointError: a model cannot be found or read.
    """
    started, progress = time.monotonic(), progress or Progress()
    _check_wanted(base, models, presets)
    train, dev = (
        _opened((data or {}).get(name, path), name, base) for name, path in (("train", base.train), ("dev", base.dev))
    )
    train, dev = readable(train, progress), dev.with_durations(warn=progress.warn)
    with TemporaryDirectory(prefix="speechxfer-plan-") as folder:
        bench = Bench(base, train, dev, Path(folder))
        # Errors that all candidates share are raised early.
        parts = {name: bench.check(replace(base, model=name, plan=PlanConfig()), progress) for name in models}
        amount = Amount.of(train, classes=base.head_type.is_classifier)
        progress.log(f"data: {amount}")
        probed_s = min(max(budget_s * _PROBED_RATIO / len(models), _LEAST_PROBED_S), _MOST_PROBED_S)
        examined = {name: _examine(name, base, part, dev, probed_s, progress) for name, part in parts.items()}
        probes, similarities = (
            {name: one[0] for name, one in examined.items()},
            {name: one[1] for name, one in examined.items()},
        )
        # A domain that is near for one model is near.
        case = case_of(amount, near=any(one.near for one in similarities.values()))
        progress.log(f"case {case.number}, {case.name}: {case.advice}")
        wanted = [preset for preset in expected(case) if presets is None or preset in presets]
        names, favorite = candidates(models, wanted, probes, base.head, vary=vary), wanted[0]
        trials = _Trials(base, bench, favorite, budget_s, started, progress)
        rounds = trials.run(trials.priced(names))
    choice = chosen(rounds, favorite, base.training.epochs)
    spent_s = time.monotonic() - started
    return Plan(
        base, amount, case, probes, similarities, trials.costs, tuple(rounds), favorite, choice, budget_s, spent_s
    )


def _check_wanted(base: FinetuneConfig, models: Sequence[str], presets: Sequence[str] | None) -> None:
    """Look for models, presets and a device that do not exist."""
    for name in models:
        find(name, language=base.language)
    if unknown := [name for name in presets or () if name not in PRESETS]:
        raise ConfigError(f"preset {unknown[0]!r} is not known; wanted one of {', '.join(PRESETS)}")
    choose_device(base.device)


def _examine(
    model: str, base: FinetuneConfig, train: Manifest, dev: Manifest, seconds: float, progress: Progress
) -> tuple[Probe, Similarity]:
    """The probe of a model, and its distance from the domain."""
    found = examine(
        find(model, language=base.language), train, dev, head=base.head, seconds=seconds,
        device=base.device, normalizer=TextNormalizer(base.text.new_head_normalizer),
        multi_label=base.multi_label, progress=progress,
    )  # fmt: skip
    progress.log(f"{model}: {found[1].verdict}")
    return found


def _opened(data: Data, name: str, base: FinetuneConfig) -> Manifest:
    dataset = Dataset.of(data, name)
    dataset.check_files()
    return dataset.strictly() if base.strict else dataset


class _Trials:
    """Times and tries candidates as long as there is budget."""

    def __init__(
        self, base: FinetuneConfig, bench: Bench, favorite: str, budget_s: float, started: float, progress: Progress
    ) -> None:
        self._base, self._bench, self._favorite, self._progress = base, bench, favorite, progress
        self._budget_s, self._end = budget_s, started + budget_s
        self.costs: dict[Candidate, Cost] = {}
        self._real: dict[Candidate, Cost] = {}

    @property
    def left_s(self) -> float:
        """Seconds left of the budget."""
        return self._end - time.monotonic()

    @property
    def _least_epochs(self) -> int:
        training = self._base.training
        steps = self._bench.train.duration_s / training.batch_seconds
        return min(training.epochs, math.ceil(max(_LEAST_RATIO * training.epochs, _LEAST_STEPS / steps)))

    def priced(self, names: Sequence[Candidate]) -> list[Candidate]:
        """The candidates for which there is time, most promising first.

        A variation costs as much as its preset. Candidates that are not timed within `_PRICING_RATIO` of the budget are
        not tried, except the favorite, which may be chosen anyway.

        Raises:
            ConfigError: there is no time for one epoch of the cheapest.
        """
        latest = self.left_s * (1.0 - _PRICING_RATIO)
        with self._progress.task("timing candidates", len(names)) as advance:
            for name in sorted(names, key=lambda one: one.preset != "feature-extraction"):  # which is the cheapest
                known = next((one for one in self.costs if (one.model, one.preset) == (name.model, name.preset)), None)
                if known or not self.costs or name.preset == self._favorite or self.left_s > latest:
                    self.costs[name] = self.costs[known] if known else self._bench.cost(name.config(self._base))
                advance(1)
        priced = [name for name in names if name in self.costs]
        kept = affordable(priced, self.costs.__getitem__, self._least_epochs, self.left_s)
        if self._cheapest_s > self.left_s:
            raise self._too_short()
        self._progress.log(f"{len(kept)} of {len(names)} candidates are tried in the {self.left_s:.0f} s left")
        return kept

    @property
    def _cheapest_s(self) -> float:
        return min(cost.run_s(1) for cost in self.costs.values())

    def _too_short(self) -> ConfigError:
        needed, spent = self._cheapest_s, self._budget_s - self.left_s
        seconds = max(self.left_s, 0.0) / needed * self._bench.train.duration_s
        fits = f"trials on {seconds:.0f} s of the training audio fit" if seconds >= 1 else "only the probe fits (speechxfer probe)"  # fmt: skip  # noqa: E501
        return ConfigError(
            f"a budget of {self._budget_s:.0f} s is shorter than one epoch: after {spent:.0f} s of measuring, the "
            f"cheapest candidate needs {needed:.0f} s for its first; {fits}. Give --budget "
            f"{math.ceil((spent + needed) * 1.5)}s at least, or train on less audio"
        )

    def run(self, names: Sequence[Candidate]) -> list[dict[Candidate, Outcome]]:
        """Successive halving in the time left.

        Raises:
            ConfigError: there was no time.
        """
        several = len({name.model for name in self.costs}) > 1

        def trial(name: Candidate, epochs: int) -> Outcome:
            outcome = self._bench.trial(name.config(self._base), epochs)
            self._real[name] = corrected(self.costs[name], outcome)
            result = f"{name.title(several=several)}: error {outcome.error:.3f}, loss {outcome.loss:.3f}"
            self._progress.log(f"{result} after {epochs} epochs in {outcome.seconds:.0f} s")
            return outcome

        rounds = successive_halving(
            names, lambda name: self._real.get(name, self.costs[name]), trial,
            most_epochs=self._base.training.epochs, budget_s=self.left_s, clock=time.monotonic,
            rank=lambda outcomes: promising(outcomes, self._favorite, self._base.training.epochs),
        )  # fmt: skip
        if not rounds:
            raise self._too_short()
        if all(math.isinf(outcome.error) for held in rounds for outcome in held.values()):
            raise TrainingError("no candidate learned anything in its trials, so none can be chosen; run finetune with one of them to see why")  # fmt: skip  # noqa: E501
        return rounds
