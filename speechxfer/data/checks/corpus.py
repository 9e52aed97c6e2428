"""Checks that compare lines: duplicates, leaks between splits, and outliers."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.checks.finding import Finding
from speechxfer.data.checks.lines import Lines
from speechxfer.data.columns import SEPARATOR
from speechxfer.data.labels import named

#: Suspicious distance from the corpus' speech rate: in robust standard deviations, and as a factor.
_RATE_DEVIATIONS, _RATE_FACTOR = 5.0, 2.0
#: Least utterances to estimate a speaker's rate, and the largest logarithm of that rate.
_FEWEST_OF_SPEAKER, _SLOWEST = 5, 0.5
_FEWEST_FOR_RATES = 50
_SLOPES = 20_000
#: Examples of the largest class for one of the smallest.
_IMBALANCE = 10.0

Numbers = NDArray[Any]


def duplicates(split: Lines) -> None:
    """Repeated audio, and repeated sentences of one speaker."""
    lines, audio, texts = (split.column(name) for name in ("line", "audio", "text"))
    for later, first in _repeated(audio):
        words = "" if texts[later] == texts[first] else ", with another text"
        split.found("duplicate-audio", int(lines[later]), f"the same audio as line {lines[first]}{words}")
    keys = np.where(texts == 0, 0, texts ^ (split.column("speaker") * np.uint64(0x9E3779B97F4A7C15)))
    for later, first in _repeated(keys):
        split.found("duplicate-text", int(lines[later]), f"the same text as line {lines[first]}")


def in_both(first: Lines, second: Lines) -> list[Finding]:
    """Audio (reported for `first`), sentences and speakers (reported for `second`) that two splits share."""
    for row, other in _shared(first.column("audio"), second.column("audio")):
        what = f"the same audio as {second.file}:{second.column('line')[other]}"
        first.found("audio-in-both", int(first.column("line")[row]), what)
    for row, other in _shared(second.column("text"), first.column("text")):
        what = f"the same sentence as {first.file}:{first.column('line')[other]}"
        second.found("text-in-both", int(second.column("line")[row]), what)
    speakers = second.column("speaker")
    shared = _shared(speakers, first.column("speaker"))
    known: dict[int, tuple[int, int]] = {}
    for row, other in shared:
        known.setdefault(int(speakers[row]), (int(second.column("line")[row]), int(first.column("line")[other])))
    if not known:
        return []
    total = len(np.unique(speakers[speakers != 0]))
    lines = tuple(sorted(line for line, _ in known.values()))
    other_line = dict(known.values())[lines[0]]
    what = f"{len(known)} of {total} speakers also speak in {first.file}; this one as in line {other_line} there"
    return [Finding("speaker-in-both", second.file, lines, what)]


def speech_rates(splits: Sequence[Lines]) -> None:
    """Texts much too long or too short for their audio, by the corpus' own speech rate.

    Seconds of speech are regressed on characters over the first split (Theil, 1950). The logarithm of actual over
    expected seconds, minus the speaker's median, is compared with its spread on either side.
    """
    symbols, active = _rated(splits[0])
    if len(symbols) < _FEWEST_FOR_RATES:
        return
    intercept, slope = _line(symbols, active)
    middle, below, above = _spread(_slowness(splits[0], intercept, slope)[1])
    for split in splits:
        symbols, active = _rated(split)
        usual, ratios = _slowness(split, intercept, slope)
        ratios = ratios - middle
        limits = np.maximum(math.log(_RATE_FACTOR), _RATE_DEVIATIONS * np.where(ratios < 0, below, above))
        lines = split.column("line")[_has_rate(split)]
        for at in np.flatnonzero(np.abs(ratios) > limits):
            seen = f"{symbols[at]} characters in {active[at]:.1f} s of speech"
            expected = f"{usual[at] * math.exp(middle):.1f} s"
            what = f"text too {'long' if ratios[at] < 0 else 'short'} for its audio: {seen}; usual are {expected}"
            split.found("speech-rate", int(lines[at]), what)


def texts_and_labels(splits: Sequence[Lines]) -> list[Finding]:
    """Missing texts and labels, labels that training lacks, labels that differ only in case, and rare classes."""
    whole: list[Finding] = []
    for name, kind, column in (("transcript", "no-text", "symbols"), ("label", "no-label", "labels")):
        if any((split.column(column) >= 0).any() for split in splits):
            for split in splits:
                for line in split.column("line")[split.column(column) < 0]:
                    split.found(kind, int(line), f"has no {name}, though others have")
    for split in splits:
        whole += _without_targets(split) + _several(split) + _spellings(split)
    known = splits[0].label_names
    for split in splits[1:] if known else []:
        unknown = {number: name for name, number in split.label_names.items() if name not in known}
        for row in np.flatnonzero(np.isin(split.column("labels"), list(unknown))):
            name = unknown[int(split.column("labels")[row])]
            near = next((f", but {one!r}" for one in known if _is_near(name, one)), "")
            split.found("unknown-label", int(split.column("line")[row]), f"no training utterance is labeled {name!r}{near}")  # fmt: skip  # noqa: E501
    return [*whole, *_imbalance(splits[0])]


def _without_targets(split: Lines) -> list[Finding]:
    if not len(split) or any((split.column(column) >= 0).any() for column in ("symbols", "labels")):
        return []
    other = ", ".join(list(split.other_columns)[:20]) or "none"
    what = f"no line has a transcript or a label (columns without a meaning for speechxfer: {other})"
    return [Finding("no-text", split.file, (), what)]


def _several(split: Lines) -> list[Finding]:
    """Labels with a separator, which name one class unless the run is multi-label."""
    numbers = [number for name, number in split.label_names.items() if SEPARATOR in name]
    lines = split.column("line")[np.isin(split.column("labels"), numbers)]
    if not len(lines):
        return []
    example = next(name for name in split.label_names if SEPARATOR in name)
    what = f"{len(lines)} of {len(split)} lines name several classes, such as {example!r}"
    return [Finding("several-classes", split.file, tuple(lines.tolist()), what)]


def _spellings(split: Lines) -> list[Finding]:
    """Classes whose names differ only in case, spaces and punctuation."""
    groups: defaultdict[str, dict[str, list[int]]] = defaultdict(dict)
    lines, labels = split.column("line"), split.column("labels")
    for label, number in split.label_names.items():
        for name in named(label, multi_label=True):
            groups[_folded(name)].setdefault(name, []).extend(lines[labels == number].tolist())
    found: list[Finding] = []
    for names in groups.values():
        if len(names) > 1:
            ranked = sorted(names, key=lambda name: len(names[name]))
            counts = ", ".join(f"{name!r} ({len(names[name])} lines)" for name in reversed(ranked))
            found.append(Finding("label-spelling", split.file, tuple(names[ranked[0]]), f"classes with almost the same name: {counts}"))  # fmt: skip  # noqa: E501
    return found


def _is_near(name: str, other: str) -> bool:
    return _folded(name) == _folded(other)


def _folded(name: str) -> str:
    """A name without case, spaces and punctuation, unless it has nothing else."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold())) or name


def _imbalance(train: Lines) -> list[Finding]:
    labels = train.column("labels")
    counts = Counter({name: int((labels == number).sum()) for name, number in train.label_names.items()})
    if len(counts) < 2:
        return []
    ranked = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    (rare, fewest), (frequent, most) = ranked[0], ranked[-1]
    if most < _IMBALANCE * fewest:
        return []
    line = int(train.column("line")[np.flatnonzero(labels == train.label_names[rare])[0]])
    few = sum(most >= _IMBALANCE * count for count in counts.values())
    what = f"{few} of {len(counts)} classes are rare: {frequent!r} has {most} utterances, {rare!r} {fewest}"
    return [Finding("imbalance", train.file, (line,), what)]


# Columns of digests


def _repeated(keys: Numbers) -> list[tuple[int, int]]:
    """(row, first row with the same key) of all repeated keys; 0 is a missing key."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, dtype=int)
    first = np.repeat(order[starts], np.diff(np.r_[starts, len(keys)]))
    repeated = (first != order) & (ordered != 0)
    return sorted(zip(order[repeated].tolist(), first[repeated].tolist(), strict=True))


def _shared(keys: Numbers, others: Numbers) -> list[tuple[int, int]]:
    """(row in `keys`, first row in `others` with the same key); 0 is a missing key."""
    values, first = np.unique(others, return_index=True)
    if not len(values):
        return []
    place = np.searchsorted(values, keys).clip(max=len(values) - 1)
    rows = np.flatnonzero((values[place] == keys) & (keys != 0))
    return list(zip(rows.tolist(), first[place[rows]].tolist(), strict=True))


# Seconds of speech against characters


def _has_rate(split: Lines) -> Numbers:
    chosen: Numbers = (split.column("symbols") > 0) & (split.column("active") > 0)
    return chosen


def _rated(split: Lines) -> tuple[Numbers, Numbers]:
    chosen = _has_rate(split)
    return split.column("symbols")[chosen], split.column("active")[chosen]


def _line(symbols: Numbers, active: Numbers) -> tuple[float, float]:
    """Intercept (s) and slope (s per character), from a fixed random sample of the pairs of lines."""
    generator = np.random.default_rng(0)
    one, two = generator.integers(len(symbols), size=(2, _SLOPES))
    apart = symbols[one] != symbols[two]
    one, two = one[apart], two[apart]
    slope = float(np.median((active[one] - active[two]) / (symbols[one] - symbols[two]))) if len(one) else 0.0
    slope = max(slope, 0.0)
    return max(float(np.median(active - slope * symbols)), 0.0), slope


def _slowness(split: Lines, intercept: float, slope: float) -> tuple[Numbers, Numbers]:
    """Expected seconds for the text and its speaker, and the logarithm of actual over expected seconds."""
    symbols, active = _rated(split)
    usual = np.maximum(intercept + slope * symbols, 1e-3)
    ratios = np.log(active / usual)
    speakers = split.column("speaker")[_has_rate(split)]
    order = np.argsort(speakers, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(speakers[order])) + 1):
        if len(rows) >= _FEWEST_OF_SPEAKER and speakers[rows[0]]:
            slow = float(np.median(ratios[rows]).clip(-_SLOWEST, _SLOWEST))
            usual[rows] *= math.exp(slow)
            ratios[rows] -= slow
    return usual, ratios


def _spread(ratios: Numbers) -> tuple[float, float, float]:
    """The median, and robust standard deviations below and above it, from median distances."""
    middle = float(np.median(ratios))
    distances = ratios - middle
    below, above = (float(np.median(np.abs(side))) for side in (distances[distances <= 0], distances[distances >= 0]))
    return middle, 1.4826 * below, 1.4826 * above
