"""Trials of many candidates, then longer ones of the best, within a time: successive halving over data and steps.

Karnin, Koren and Somekh (2013); for hyper-parameters Jamieson and Talwalkar (2016) and Li et al. (2018, Hyperband).
Trials go on where they were, and variations begin where what they vary stands (Jaderberg et al., 2017, Population based
training).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from speechxfer.config import FinetuneConfig
from speechxfer.planner.candidates import Candidate, variations
from speechxfer.planner.forecast import (
    Forecast,
    LogForecast,
    Point,
    error_slope_of,
    final_error,
    final_loss,
    slope_of,
)
from speechxfer.planner.subsets import beginning
from speechxfer.planner.trial import Bench, Cost, Trial
from speechxfer.progress import Progress
from speechxfer.training.beginning import Beginning

#: Steps of training the whole encoder whose time a first trial has at least, for shorter ones mislead; and steps that
#: it must have where the time is over.
_FEWEST_STEPS, _FEWEST_MEASURED = 32, 2
#: Fraction of the time for the first round, and most candidates that go on, with variations of the best.
_FIRST_ROUND, _GOING_ON = 0.5, 4
#: The smallest and the largest part of a whole run that a trial is.
_SMALLEST, _LARGEST = 0.03, 0.34
#: Seconds of dev that are measured for each second of the time, and the fewest and the most utterances of it.
_DEV_S, _FEWEST_DEV, _MOST_DEV = 0.5, 12, 200
#: What a measurement takes beside the steps before it: those in which the rate falls, relative to them.
_WITH_FALL = 1.25


@dataclass
class Entry:
    """A candidate in the race, with what was found."""

    candidate: Candidate
    points: list[Point] = field(default_factory=list)
    cost: Cost | None = None
    loss: LogForecast | None = None
    error: Forecast | None = None
    #: Why it was left behind; "" while it is in.
    ruled_out: str = ""

    @property
    def expected(self) -> float:
        """The logarithm of the loss at the end; infinite where it went astray."""
        return self.loss.mean if self.loss else math.inf


@dataclass(frozen=True)
class Horizon:
    """What a whole run is: so many passes over the data, or so many seconds with what is computed before."""

    epochs: int
    seconds: float | None
    #: Of the training data.
    audio_s: float

    def fraction(self, trial: Trial) -> float:
        """How much of a whole run a trial has done."""
        if self.seconds is None:
            return trial.seen_s / (self.epochs * self.audio_s)
        # What is frozen is computed once for what is used of the data.
        return trial.seconds / max(self.seconds - min(trial.below_s * self.audio_s, 0.8 * self.seconds), 1e-3)

    def run_s(self, step_s: float, batch_s: float) -> float:
        """Seconds of a whole run whose steps of so much audio take so long."""
        return self.epochs * self.audio_s / batch_s * step_s if self.seconds is None else self.seconds


class Race:
    """Tries candidates as long as there is time.

    Args:
        base: settings of the run.
        bench: the data.
        horizon: what a whole run is.
        until: when the time is over.
    """

    def __init__(
        self, base: FinetuneConfig, bench: Bench, horizon: Horizon, until: float, progress: Progress,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._base, self._bench, self._horizon, self._progress = base, bench, horizon, progress
        self._until, self._now = until, now
        self._budget_s = max(until - now(), 1e-3)
        self._dev = min(beginning(bench.dev, _DEV_S * self._budget_s, fewest=_FEWEST_DEV), _MOST_DEV)
        #: The longest that decoding dev has taken so far.
        self._measuring_s, self._opening_s = 0.0, 0.0
        self._trials: dict[Candidate, Trial] = {}
        self.entries: list[Entry] = []

    @property
    def left_s(self) -> float:
        """Seconds left."""
        return self._until - self._now()

    def run(self, candidates: Sequence[Candidate], *, vary: bool) -> list[Entry]:
        """Both rounds; all candidates, the best of those that were tried first.

        Raises:
            DataError: audio that cannot be read.
            StorageError: the disk has no room for what is frozen.
        """
        self.entries = [Entry(one) for one in candidates]
        if fraction := self.first_fraction(len(candidates)):
            for number, entry in enumerate(self.entries):
                # A second one, to have something to compare with.
                if number < 2 or self.left_s > (1.0 - _FIRST_ROUND) * self._budget_s:
                    self._try(entry, fraction)
            self._second_round(fraction, vary=vary)
        for entry in self.entries:
            entry.ruled_out = entry.ruled_out or ("" if entry.points else "there was no time to try it")
        return in_order(self.entries)

    def beginning(self, candidate: Candidate) -> Beginning | None:
        """What a run of a candidate goes on from; None where it was not tried."""
        trial = self._trials.get(candidate)
        return trial.beginning() if trial else None

    def first_fraction(self, count: int, *, spared_s: float = 0.0) -> float:
        """How much of a whole run the first trials of so many candidates are; 0 where there is no time for two.

        One alone compares nothing, and shorter ones would choose by chance.

        Args:
            count: of the candidates.
            spared_s: seconds that are needed for other things before.
        """
        step_s = self._bench.step_s
        run_s = self._horizon.run_s(step_s, self._base.training.batch_seconds)
        shortest = min(max(_FEWEST_STEPS * step_s / run_s, _SMALLEST), 1.0)
        least_s = _WITH_FALL * shortest * run_s + self._opening_s
        if self.left_s - spared_s < min(count, 2) * least_s:
            return 0.0
        each_s = _FIRST_ROUND * self._budget_s / count - self._opening_s
        return max(min(each_s / _WITH_FALL / run_s, _LARGEST), shortest)

    def _second_round(self, fraction: float, *, vary: bool) -> None:
        """The best go on, and variations of the best begin where it stands; as many as can go on for as long again."""
        alive = self._ranked()
        if not alive or (len(alive) == 1 and not vary):
            return
        best, spent_s = alive[0], max(self._spent_s(one) for one in alive[:2])
        each_s = _WITH_FALL * spent_s + self._measuring_s + self._opening_s
        places = min(int(self.left_s / each_s), _GOING_ON)
        if places < 2:
            return
        # Where the trials do not tell the others apart, the more promising one goes on with the best.
        rivals = sorted((one for one in alive[1:] if _may_be_better(one, best)), key=self.entries.index)
        going = [best, *rivals[:1]]
        trial = self._trials[best.candidate]
        varied = (
            [Entry(one, list(best.points)) for one in variations(best.candidate, self._base, trial.start.plan)]
            if vary
            else []
        )
        varied = varied[: places - len(going)]
        for entry in alive:
            if entry not in going:
                self._rule_out(entry, f"{best.error} was expected of {best.candidate.name}")
        further = fraction + min(fraction * max(self.left_s / (each_s * (len(going) + len(varied))), 1.0), _LARGEST)
        for entry in varied:
            self._begun(entry.candidate).take_over(trial)
        self.entries += varied
        going += varied
        known = [len(entry.points) for entry in going]
        for entry in going:
            self._try(entry, further)
        late = [entry for entry, count in zip(going, known, strict=True) if len(entry.points) == count]
        for entry in late if len(late) < len(going) else ():
            entry.ruled_out = entry.ruled_out or "there was no time for its second trial"

    def _begun(self, candidate: Candidate) -> Trial:
        settings = candidate.config(self._base)
        trial = Trial(self._bench, settings, self._dev, self._horizon.fraction, self._now)
        self._opening_s = max(self._opening_s, trial.opening_s)
        self._trials[candidate] = trial
        return trial

    def _count(self, trial: Trial, fraction: float) -> int:
        """Utterances of a trial: passes over the data are as much fewer as there is less of it."""
        seconds = self._horizon.audio_s * math.sqrt(min(fraction, 1.0))
        return beginning(trial.train, seconds, fewest=_FEWEST_DEV)

    def _ranked(self) -> list[Entry]:
        return sorted((one for one in self.entries if one.loss and not one.ruled_out), key=lambda one: one.expected)

    def _spent_s(self, entry: Entry) -> float:
        return entry.points[-1].seconds / _WITH_FALL

    def _rule_out(self, entry: Entry, reason: str) -> None:
        entry.ruled_out = reason
        self._trials.pop(entry.candidate, None)

    def _try(self, entry: Entry, fraction: float) -> None:
        """Take a candidate to a fraction of a whole run and measure it, where there is time."""
        if entry.candidate not in self._trials and self.left_s < 2 * self._opening_s + self._measuring_s:
            return
        begun, trial = self._now(), self._trials.get(entry.candidate) or self._begun(entry.candidate)
        # The fall of the rate, a quarter of all steps, and decoding have to fit in as well.
        until = self._until - self._measuring_s
        until = begun + (until - begun) / _WITH_FALL - trial.seconds * (1 - 1 / _WITH_FALL)
        trial.advance(fraction, self._count(trial, fraction), until)
        # A first trial that is much shorter than the others' compares nothing.
        if trial.steps < _FEWEST_MEASURED or (not entry.points and trial.fraction < fraction / 2):
            self._trials.pop(entry.candidate)
            return
        measured = self._now()
        point = trial.measure(self._until)
        self._measuring_s = max(self._measuring_s, self._now() - measured - (point.seconds - trial.seconds))
        entry.points.append(point)
        entry.cost = trial.cost()
        if math.isfinite(point.loss):
            plan = trial.start.plan
            entry.loss = final_loss(entry.points, slope_of(plan))
            entry.error = final_error(entry.points, error_slope_of(plan), trial.num_labels)
        else:
            entry.loss, entry.error = None, None
            self._rule_out(entry, "its loss was no longer a number")
        self._progress.log(
            f"{entry.candidate.title(several=self._several)}: error {point.error:.3f}, loss {point.loss:.3f} after "
            f"{point.steps} steps in {self._now() - begun:.0f} s; expected at the end: {entry.error or 'nothing'}"
        )

    @property
    def _several(self) -> bool:
        return len({entry.candidate.model for entry in self.entries}) > 1


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """The best first. Of presets that the trials do not tell apart, it is the one that comes first in `entries`."""
    found = sorted(entries, key=lambda entry: (not entry.points, bool(entry.ruled_out), entry.expected))
    best = found[0]
    if not best.loss:
        return found
    presets = [(one.candidate.model, one.candidate.preset) for one in entries]
    alike = [one for one in found if one.loss and not one.ruled_out and _may_be_better(one, best)]
    first = min(alike, key=lambda one: presets.index((one.candidate.model, one.candidate.preset)), default=best)
    return [first, *(one for one in found if one is not first)]


def _may_be_better(one: Entry, best: Entry) -> bool:
    """Whether the intervals of what is expected overlap by so much that a longer trial is worth it."""
    assert one.loss
    assert best.loss
    return one.loss.mean - best.loss.mean < math.hypot(one.loss.deviation, best.loss.deviation)
