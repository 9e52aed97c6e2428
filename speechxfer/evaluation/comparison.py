"""Two systems on one test set: whether they differ, by how much, and in which utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from speechxfer.data.manifest import Utterance
from speechxfer.errors import DataError
from speechxfer.evaluation.intervals import Intervals, Units, ratio_intervals, units_of
from speechxfer.evaluation.results import Evaluation, Result
from speechxfer.evaluation.significance import (
    LEAST_DIFFERING,
    MatchedPairs,
    PairedBootstrap,
    matched_pairs,
    paired_bootstrap,
)

Verdict = Literal["better", "worse", "same", "unknown"]


@dataclass(frozen=True)
class System:
    """One side of a comparison: what it is called, and how wrong it is."""

    name: str
    errors: int
    rate: float
    intervals: Intervals


@dataclass(frozen=True)
class Difference:
    """An utterance that one system has more errors in than the other."""

    utterance: Utterance
    reference: str
    first: str
    second: str
    first_errors: int
    second_errors: int


@dataclass(frozen=True)
class Comparison:
    """Two systems on one test set; the second against the first."""

    first: System
    second: System
    #: "wer" or "error", the fraction of utterances with a wrong class.
    figure: str
    #: Words of the references, or utterances.
    length: int
    utterances: int
    normalizer: str | None
    #: None where the test set is too small.
    bootstrap: PairedBootstrap | None
    matched_pairs: MatchedPairs | None
    #: Those that made the difference, the largest first.
    differing: tuple[Difference, ...]

    @property
    def second_is(self) -> Verdict:
        """The result of the paired bootstrap for the second system; "same" only means that no difference is shown."""
        if self.bootstrap is None:
            return "unknown"
        if not self.bootstrap.significant:
            return "same"
        return "better" if self.bootstrap.difference < 0 else "worse"

    @property
    def wins(self) -> int:
        """Utterances in which the second has fewer errors."""
        return sum(one.second_errors < one.first_errors for one in self.differing)

    @property
    def losses(self) -> int:
        """Utterances in which it has more."""
        return len(self.differing) - self.wins

    def to_dict(self, num_differing: int | None = None) -> dict[str, Any]:
        """Plain values for JSON, with some of the differing utterances or all."""
        return {
            "first": _system(self.first),
            "second": _system(self.second),
            "figure": self.figure,
            "length": self.length,
            "utterances": self.utterances,
            "normalizer": self.normalizer,
            "second_is": self.second_is,
            "verdict": self.verdict(),
            "bootstrap": asdict(self.bootstrap) if self.bootstrap else None,
            "matched_pairs": asdict(self.matched_pairs) if self.matched_pairs else None,
            "wins": self.wins,
            "losses": self.losses,
            "differing": [_difference(one) for one in self.differing[:num_differing]],
        }

    def rows(self, count: int) -> list[tuple[str, str, str, str, str]]:
        """A table of the utterances that made the difference: both counts of errors, reference, both hypotheses."""
        return [
            (str(one.first_errors), str(one.second_errors), one.reference, one.first, one.second)
            for one in self.differing[:count]
        ]

    def summary(self) -> str:
        """Both figures with their intervals, how the utterances fell, and the results of both tests."""
        sides = [f"{one.name}: {_name(self.figure)} {one.intervals.show(self.figure, one.rate)}, {one.errors} errors" for one in (self.first, self.second)]  # fmt: skip  # noqa: E501
        same = self.utterances - len(self.differing)
        lines = [*sides, f"B has fewer errors in {self.wins} utterances, more in {self.losses}, as many in {same}"]
        if self.bootstrap:
            one = self.bootstrap
            lines.append(
                f"paired bootstrap over {one.count} {one.unit}s: B - A {one.difference:+.3f} [{one.low:+.3f}, "
                f"{one.high:+.3f}], p {_p(one.p)}, probability of improvement {one.improvement:.3f}"
            )
        if self.matched_pairs:
            test = self.matched_pairs
            lines.append(
                f"matched pairs over {test.segments} utterances: B - A {test.mean:+.3f} errors an utterance, "
                f"t {test.statistic:+.2f}, p {_p(test.p)}{_independence(self.bootstrap)}"
            )
        return "\n".join(lines)

    def verdict(self) -> str:
        """The conclusion, in a sentence or two."""
        found = self.bootstrap
        if found is None:
            return f"No verdict: {self.first.intervals.note}."
        shown = f"{_name(self.figure)} {self.first.rate:.3f} -> {self.second.rate:.3f}, difference {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p {_p(found.p)}"  # fmt: skip  # noqa: E501
        if self.second_is != "same":
            return f"{self.second.name} is {self.second_is} than {self.first.name}: {shown}."
        if not self.differing:
            return "No difference: both have as many errors in every single utterance."
        if len(self.differing) < LEAST_DIFFERING:
            return f"No difference shown: {shown}, but only {len(self.differing)} utterances differ; wanted at least {LEAST_DIFFERING}."  # fmt: skip  # noqa: E501
        reach = (found.high - found.low) / 2
        return f"No difference shown: {shown}. This test set shows differences of about {reach:.3f} and more."


def compare_systems(names: Sequence[str], first: Evaluation, second: Evaluation) -> Comparison:
    """Two systems' results for the same utterances; nothing is aligned again.

    Args:
        names: what both are called.

    Raises:
        DataError: one writes transcripts and the other classes, or they are of different utterances.
    """
    sides = [first.in_order, second.in_order]
    of_classes = first.task == "classification"
    if first.task != second.task:
        holds = ["classes" if one.task == "classification" else "transcripts" for one in (first, second)]
        raise DataError(f"{names[0]} holds {holds[0]}, {names[1]} holds {holds[1]}; wanted two of a kind")
    if [one.utterance.id for one in sides[0]] != [one.utterance.id for one in sides[1]]:
        counts = f"{names[0]} has {len(sides[0])} results, {names[1]} {len(sides[1])}"
        raise DataError(f"{counts}; wanted results for the same utterances in the same order")
    # An utterance has one label, or one set of labels, which is right or wrong.
    errors = [[int(one.errors > 0) if of_classes else one.errors for one in side] for side in sides]
    lengths = [1 if one.pair is None else one.pair.words.reference for one in sides[0]]
    figure = "error" if of_classes else "wer"
    drawn = units_of([one.utterance for one in sides[0]], of_classes=of_classes)
    systems = [_scored(name, wrong, lengths, figure, drawn) for name, wrong in zip(names, errors, strict=True)]
    return Comparison(
        first=systems[0],
        second=systems[1],
        figure=figure,
        length=sum(lengths),
        utterances=len(lengths),
        normalizer=first.normalizer,
        bootstrap=paired_bootstrap(errors[0], errors[1], lengths, drawn),
        matched_pairs=matched_pairs(errors[0], errors[1]),
        differing=_differing(sides[0], sides[1], errors),
    )


def _scored(name: str, errors: Sequence[int], lengths: Sequence[int], figure: str, drawn: Units) -> System:
    intervals = ratio_intervals({figure: (errors, lengths)}, drawn)
    return System(name, sum(errors), sum(errors) / sum(lengths), intervals)


def _differing(
    first: Sequence[Result], second: Sequence[Result], errors: Sequence[Sequence[int]]
) -> tuple[Difference, ...]:
    found = [
        Difference(one.utterance, one.reference, one.hypothesis, other.hypothesis, before, after)
        for one, other, before, after in zip(first, second, *errors, strict=True)
        if before != after
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.second_errors - one.first_errors)))


def _system(system: System) -> dict[str, Any]:
    values = {"name": system.name, "errors": system.errors, "rate": system.rate}
    return {**values, "intervals": system.intervals.to_dict()}


def _difference(one: Difference) -> dict[str, Any]:
    values = {"audio": one.utterance.audio, "line": one.utterance.origin, "reference": one.reference}
    return {
        **values,
        "first": one.first,
        "second": one.second,
        "first_errors": one.first_errors,
        "second_errors": one.second_errors,
    }


def _independence(found: PairedBootstrap | None) -> str:
    """What to hold against the matched pairs where utterances are not alone."""
    return " (as if a speaker's utterances were independent)" if found and found.unit == "speaker" else ""


def _name(figure: str) -> str:
    return "WER" if figure == "wer" else "error"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
