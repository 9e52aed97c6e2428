"""Error rates of parts of a test set: by a column of the manifest, by length, or by noise."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from speechxfer.data.columns import known_as
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError
from speechxfer.evaluation.intervals import Intervals
from speechxfer.evaluation.metrics import Counts, total
from speechxfer.evaluation.noise import snr_db
from speechxfer.evaluation.results import Evaluation, Result, intervals_of
from speechxfer.progress import Progress

#: Edges of the bins of numeric columns.
_BINS: dict[str, tuple[float, ...]] = {
    "duration": (1, 2, 5, 10, 20),
    "snr": (0, 10, 20, 30),
    "words": (1, 3, 6, 11, 21),
    "age": (18, 30, 40, 50, 60, 70),
}
_UNITS = {"duration": " s", "snr": " dB"}
#: Other numeric columns with more distinct values than this are divided at their quintiles.
_MOST_VALUES = 12
_PARTS = 5
_NONE = "(none)"


@dataclass(frozen=True)
class Slice:
    """The utterances with one value of a column, or with a number in one bin."""

    column: str
    value: str
    utterances: int
    #: Hits and errors of words; None for classification.
    words: Counts | None
    #: WER, or the fraction of utterances with a wrong class; None if the references have no word.
    rate: float | None
    intervals: Intervals

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = {}
        if self.words:
            names = ("hits", "substitutions", "deletions", "insertions")
            counts = {"words": self.words.reference, **{name: getattr(self.words, name) for name in names}}
        about = {"column": self.column, "value": self.value, "utterances": self.utterances}
        return {**about, **counts, "rate": self.rate, "intervals": self.intervals.to_dict()}

    def row(self) -> tuple[str, str, str, str]:
        """A row of a table: value, utterances, words, rate with its interval."""
        words = str(self.words.reference) if self.words else ""
        if self.rate is None:
            return self.value, str(self.utterances), words, f"{self.words.insertions if self.words else 0} inserted"
        if self.words:
            return self.value, str(self.utterances), words, self.intervals.show("wer", self.rate)
        low, high = self.intervals.bounds.get("accuracy", (1.0, 1.0))
        shown = f" [{1 - high:.3f}, {1 - low:.3f}]" if self.intervals.bounds else ""
        return self.value, str(self.utterances), words, f"{self.rate:.3f}{shown}"


def check_columns(manifest: Manifest, columns: Sequence[str]) -> None:
    """Check early that the manifest has these columns.

    Raises:
        ConfigError: a column is missing; lists the existing ones.
    """
    known = _columns(manifest)
    for column in columns:
        if column not in known and known_as(column) not in known:
            where = manifest.path or "the manifest"
            raise ConfigError(f"--slice {column}: {where} has no such column; wanted one of: {', '.join(known)}")


def slices(evaluation: Evaluation, column: str, progress: Progress | None = None) -> list[Slice]:
    """Error rates for each value of a column, in numeric or alphabetical order.

    Every manifest has the columns `duration`, `words` and `snr`, which is estimated from the audio unless the manifest
    has it. Numbers are binned.

    Raises:
        ConfigError: the manifest has no such column.
        DataError: unreadable audio.
    """
    results = evaluation.in_order
    manifest = Manifest(result.utterance for result in results)
    check_columns(manifest, [column])
    values = _values(manifest, results, column, progress or Progress())
    name = _names(column, values)
    groups: defaultdict[tuple[float, str], list[Result]] = defaultdict(list)
    for value, result in zip(values, results, strict=True):
        groups[name(value)].append(result)
    return [_slice(column, shown, groups[order, shown]) for order, shown in sorted(groups)]


def _columns(manifest: Manifest) -> list[str]:
    extra = dict.fromkeys(name for utterance in manifest for name in utterance.extra)
    own = [name for name in ("label", "speaker") if any(getattr(utterance, name) for utterance in manifest)]
    texts = ["words"] if any(utterance.text for utterance in manifest) else []
    return list(dict.fromkeys([*own, "duration", "snr", *texts, *extra]))


def _values(manifest: Manifest, results: Sequence[Result], column: str, progress: Progress) -> list[Any]:
    if any(column in utterance.extra for utterance in manifest):
        return [utterance.extra.get(column) for utterance in manifest]
    if column == "duration":
        return [utterance.duration for utterance in manifest.with_durations()]
    if column == "words":
        return [result.pair.words.reference if result.pair else len(result.reference.split()) for result in results]
    if column == "snr":
        with progress.task("estimating noise", len(manifest)) as advance:
            return [_advanced(advance, snr_db(read(utterance))) for utterance in manifest]
    return [utterance.value(column) for utterance in manifest]


def _advanced(advance: Callable[[float], None], value: float | None) -> float | None:
    advance(1)
    return value


def _names(column: str, values: Sequence[Any]) -> Callable[[Any], tuple[float, str]]:
    """A function from a value to the sort key and the name of its slice."""
    numbers = {number for value in values if (number := _number(value)) is not None}
    numeric = bool(numbers) and all(value is None or _number(value) is not None for value in values)
    if known_as(column) in ("label", "speaker") or not numeric:
        return lambda value: (1.0, _NONE) if value is None else (0.0, str(value))
    edges = _BINS.get(column)
    if edges is None and len(numbers) > _MOST_VALUES:
        ordered = sorted(numbers)
        edges = tuple(dict.fromkeys(ordered[len(ordered) * part // _PARTS] for part in range(1, _PARTS)))

    def name(value: Any) -> tuple[float, str]:
        number = _number(value)
        if number is None:
            return float("inf"), _NONE
        return (number, f"{number:g}") if edges is None else _bin(number, edges, _UNITS.get(column, ""))

    return name


def _number(value: Any) -> float | None:
    """A number, or text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _bin(number: float, edges: Sequence[float], unit: str) -> tuple[float, str]:
    """Sort key and name of a number's bin; a bin contains its lower edge, not its upper one."""
    place = bisect_right(edges, number)
    if place == 0:
        return 0.0, f"< {edges[0]:g}{unit}"
    if place == len(edges):
        return float(place), f"≥ {edges[-1]:g}{unit}"
    return float(place), f"{edges[place - 1]:g} to < {edges[place]:g}{unit}"


def _slice(column: str, value: str, results: Sequence[Result]) -> Slice:
    pairs = [result.pair for result in results if result.pair is not None]
    intervals = intervals_of(results)
    if pairs:
        words = total(pair.words for pair in pairs)
        return Slice(column, value, len(results), words, words.rate, intervals)
    wrong = sum(result.errors > 0 for result in results)
    return Slice(column, value, len(results), None, wrong / len(results), intervals)
