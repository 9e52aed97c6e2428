"""Predictions of any system, from a file, for the utterances of a manifest."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from speechxfer.data import columns, rows
from speechxfer.data.labels import named
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.errors import DataError
from speechxfer.evaluation.predictions import result_of
from speechxfer.evaluation.results import Evaluation, Result, assembled, compare

#: A row with its line.
_Row: TypeAlias = tuple[int, dict[str, Any]]
#: Columns of files that others wrote: the prediction, and what it is of.
_REFERENCES = {"hypothesis": "reference", "predicted": "label"}
_WANTED = "wanted the file that `evaluate --predictions` wrote for this manifest"


def read_matching(path: Path, manifest: Manifest, normalizer: TextNormalizer) -> Evaluation:
    """The predictions of a file, for a manifest with the same utterances in whatever order.

    The file is one that `write_predictions` wrote, or has a column `hypothesis` (text) or `predicted` (classes), and
    `audio`, `start`, `reference` or `label` as far as they are known. What a file has aligned after the same normalizer
    is not aligned again.

    Raises:
        DataError: they are for other utterances, or the file holds none.
    """
    lines = _lines(path)
    taken = _taken(path, lines, manifest)
    if all("version" in row for _, row in lines):
        return _own(path, taken, manifest, normalizer)
    return compare(manifest, _others(path, taken, manifest), normalizer)


def check_matching(path: Path, manifest: Manifest) -> None:
    """Look whether a file has a prediction for each utterance, before anything is computed.

    Raises:
        DataError: as `read_matching`.
    """
    _taken(path, _lines(path), manifest)


def _lines(path: Path) -> list[_Row]:
    lines = list(rows.read(path, columns.is_number))
    if not lines:
        raise DataError(f"{path}: holds no hypotheses; {_WANTED}")
    return lines


def _own(path: Path, taken: Sequence[_Row], manifest: Manifest, normalizer: TextNormalizer) -> Evaluation:
    found = [result_of(row, f"{path}:{line}", place, path.parent) for place, (line, row) in enumerate(taken)]
    results = [replace(result, utterance=utterance) for (result, _), utterance in zip(found, manifest, strict=True)]
    for (line, _), result in zip(taken, results, strict=True):
        _check_reference(f"{path}:{line}", result.reference, _reference(result), result.utterance)
    if all(result.pair is None or made == str(normalizer) for result, made in found):
        return assembled(results, str(normalizer))
    return compare(manifest, [result.prediction for result in results], normalizer)


def _others(path: Path, taken: Sequence[_Row], manifest: Manifest) -> list[Prediction]:
    column = next((name for name in _REFERENCES if any(name in row for _, row in taken)), None)
    if column is None:
        names = ", ".join(taken[0][1])
        raise DataError(f"{path}: has the columns {names}; wanted hypothesis, or predicted for classes")
    reference = _REFERENCES[column]
    for utterance, (line, row) in zip(manifest, taken, strict=True):
        wanted = utterance.label if reference == "label" else utterance.text
        if row.get(reference) is not None:
            _check_reference(f"{path}:{line}", _text(row[reference]), wanted or "", utterance)
    texts = [_text(row.get(column)) for _, row in taken]
    return _certain(texts, manifest) if column == "predicted" else [Hypothesis(text) for text in texts]


def _certain(texts: Sequence[str], manifest: Manifest) -> list[Prediction]:
    """Classes without their probabilities: what is named counts as certain."""
    labels = [utterance.label for utterance in manifest if utterance.label is not None]
    several = any(columns.SEPARATOR in text for text in (*texts, *labels))
    chosen = [[columns.plain_name(name) for name in named(text, multi_label=several)] for text in texts]
    known = {name for label in labels for name in named(label, multi_label=several)}
    names = tuple(sorted(known | {name for one in chosen for name in one}))
    return [Classification(names, tuple(float(name in one) for name in names), several) for one in chosen]


def _taken(path: Path, lines: Sequence[_Row], manifest: Manifest) -> list[_Row]:
    """Of each utterance its row."""
    waiting: defaultdict[str, deque[_Row]] = defaultdict(deque)
    for line, row in lines:
        waiting[_key(row, f"{path}:{line}")].append((line, row))
    taken = [waiting[utterance.id].popleft() if waiting[utterance.id] else None for utterance in manifest]
    missing = [utterance for utterance, found in zip(manifest, taken, strict=True) if not found]
    foreign = [line for left in waiting.values() for line, _ in left]
    if missing or foreign:
        counts = f"{path} holds {len(lines)} hypotheses, {manifest.path or 'the manifest'} {len(manifest)} utterances"
        lacks = f"; {len(missing)} have none, first {missing[0].origin} ({missing[0].id})" if missing else ""
        strange = f"; {len(foreign)} are of other utterances, first {path}:{min(foreign)}" if foreign else ""
        raise DataError(f"{counts}{lacks}{strange}; {_WANTED}")
    return [found for found in taken if found]


def _key(row: Mapping[str, Any], origin: str) -> str:
    """As `Utterance.id`."""
    if "id" in row and "version" in row:
        return _text(row["id"])
    start = columns.seconds("start", row.get("start"), origin)
    return f"{_text(row.get('audio'))}@{start}" if start else _text(row.get("audio"))


def _reference(result: Result) -> str:
    utterance = result.utterance
    return (utterance.label if isinstance(result.prediction, Classification) else utterance.text) or ""


def _check_reference(origin: str, written: str, wanted: str, utterance: Utterance) -> None:
    """Raise DataError where the file was written for another text or label."""
    if written != wanted and columns.plain_name(written) != columns.plain_name(wanted):
        seen = f"{origin} was written for {written[:60]!r}, but {utterance.origin} has {wanted[:60]!r}"
        raise DataError(f"{seen}; wanted hypotheses for the same manifest")


def _text(value: Any) -> str:
    """The content of a cell; an empty one is an empty text."""
    return "" if value is None else str(value)
