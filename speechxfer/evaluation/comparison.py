"""Two systems on one test set: how they compare, what can be said of it, and which utterances made the difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.hypotheses import Hypotheses, wrong_label
from speechxfer.evaluation.intervals import Intervals, Units, ratio_intervals, units_of
from speechxfer.evaluation.metrics import align
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
    #: "wer" or "error", the share of utterances with a wrong class.
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
        """What the paired bootstrap says of the second system; "same" only means that no difference is shown."""
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
        """Both figures with their intervals, how the utterances fell, and what both tests say."""
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
        """What can be said, in a sentence or two."""
        found = self.bootstrap
        if found is None:
            return f"No verdict: {self.first.intervals.note}."
        says = f"{_name(self.figure)} {self.first.rate:.3f} -> {self.second.rate:.3f}, difference {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p {_p(found.p)}"  # fmt: skip  # noqa: E501
        if self.second_is != "same":
            return f"{self.second.name} is {self.second_is} than {self.first.name}: {says}."
        if not self.differing:
            return "No difference: both have as many errors in every single utterance."
        if len(self.differing) < LEAST_DIFFERING:
            return f"No difference shown: {says}, but only {len(self.differing)} utterances differ; wanted at least {LEAST_DIFFERING}."  # fmt: skip  # noqa: E501
        reach = (found.high - found.low) / 2
        return f"No difference shown: {says}. This test set shows differences of about {reach:.3f} and more."


def compare_systems(
    manifest: Manifest, first: Hypotheses, second: Hypotheses, normalizer: TextNormalizer
) -> Comparison:
    """Two systems' hypotheses for a manifest.

    Raises:
        DataError: one writes transcripts and the other classes, an utterance without text or label, or no words.
    """
    if first.task != second.task:
        holds = {"transcription": "transcripts", "classification": "classes"}
        seen = f"{first.name} holds {holds[first.task]}, {second.name} {holds[second.task]}"
        raise DataError(f"{seen}; wanted two of a kind")
    sides = (first, second)
    figure = "wer" if first.task == "transcription" else "error"
    references = texts(manifest) if figure == "wer" else _labels(manifest)
    lengths, errors = (_word_errors if figure == "wer" else _class_errors)(references, sides, normalizer)
    drawn = units_of(manifest, of_classes=figure == "error")
    systems = [_scored(side.name, wrong, lengths, figure, drawn) for side, wrong in zip(sides, errors, strict=True)]
    return Comparison(
        first=systems[0],
        second=systems[1],
        figure=figure,
        length=sum(lengths),
        utterances=len(manifest),
        normalizer=str(normalizer) if figure == "wer" else None,
        bootstrap=paired_bootstrap(errors[0], errors[1], lengths, drawn),
        matched_pairs=matched_pairs(errors[0], errors[1]),
        differing=_differing(manifest, references, first, second, errors),
    )


def _word_errors(
    references: list[str], sides: Sequence[Hypotheses], normalizer: TextNormalizer
) -> tuple[list[int], list[list[int]]]:
    """Words of each reference, and each side's errors in them."""
    aligned = [align(references, side.texts, normalizer) for side in sides]
    lengths = [pair.words.reference for pair in aligned[0]]
    return lengths, [[pair.words.errors for pair in pairs] for pairs in aligned]


def _class_errors(
    references: list[str], sides: Sequence[Hypotheses], _normalizer: TextNormalizer
) -> tuple[list[int], list[list[int]]]:
    """An utterance has one label, or one set of them, which is right or wrong."""
    wrong = [
        [int(wrong_label(label, named)) for label, named in zip(references, side.texts, strict=True)] for side in sides
    ]
    return [1] * len(references), wrong


def _labels(manifest: Manifest) -> list[str]:
    for utterance in manifest:
        if utterance.label is None:
            raise DataError(f"{utterance.origin}: has no label; wanted the class of {utterance.audio}")
    return [utterance.label or "" for utterance in manifest]


def _scored(name: str, errors: Sequence[int], lengths: Sequence[int], figure: str, drawn: Units) -> System:
    intervals = ratio_intervals({figure: (errors, lengths)}, drawn)
    return System(name, sum(errors), sum(errors) / sum(lengths), intervals)


def _differing(
    manifest: Manifest, references: Sequence[str], first: Hypotheses, second: Hypotheses, errors: list[list[int]]
) -> tuple[Difference, ...]:
    rows = zip(manifest, references, first.texts, second.texts, *errors, strict=True)
    found = [Difference(*row) for row in rows if row[-1] != row[-2]]
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
