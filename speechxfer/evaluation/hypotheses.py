"""Files of hypotheses: one row an utterance, written by one evaluation and compared with another's."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from speechxfer.data import columns, rows
from speechxfer.data.labels import named
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import DataError
from speechxfer.evaluation.results import Evaluation, Result

Task = Literal["transcription", "classification"]

#: What is written, by what the hypothesis is called.
_REFERENCES = {"hypothesis": "reference", "predicted": "label"}
_START = "start"


@dataclass(frozen=True)
class Hypotheses:
    """What a system says of each utterance of a manifest, in its order."""

    name: str
    task: Task
    texts: tuple[str, ...]


def write_hypotheses(path: Path, evaluation: Evaluation) -> None:
    """Write one row an utterance, in the manifest's order and the format of the suffix.

    Transcripts: audio, start, speaker, reference, hypothesis, and the words of the reference with what became of them.
    Classes: audio, start, speaker, label, predicted, errors.

    Raises:
        ConfigError: the suffix is no manifest's.
        StorageError: the file cannot be written.
    """
    ordered = sorted(evaluation.results, key=lambda result: result.place)
    rows.write(path, [_row(result) for result in ordered])


def read_hypotheses(path: Path, manifest: Manifest) -> Hypotheses:
    """The hypotheses of a file, in the order of the manifest they were written for.

    Raises:
        DataError: they are for other utterances, or the file holds none.
    """
    lines = list(rows.read(path, columns.is_number))
    if not lines:
        raise DataError(f"{path}: holds no hypotheses; wanted the file that `evaluate --hypotheses` writes")
    said = next((name for name in _REFERENCES if any(name in row for _, row in lines)), None)
    if said is None:
        names = ", ".join(lines[0][1])
        raise DataError(f"{path}: has the columns {names}; wanted hypothesis, or predicted for classes")
    waiting: defaultdict[str, deque[tuple[int, dict[str, Any]]]] = defaultdict(deque)
    for line, row in lines:
        waiting[_key(row, f"{path}:{line}")].append((line, row))
    taken = [waiting[utterance.id].popleft() if waiting[utterance.id] else None for utterance in manifest]
    _check_complete(path, manifest, taken, len(lines), [line for left in waiting.values() for line, _ in left])
    for utterance, found in zip(manifest, taken, strict=True):
        if found:
            _check_reference(path, utterance, *found, _REFERENCES[said])
    texts = tuple(_text(found[1].get(said)) for found in taken if found)
    return Hypotheses(str(path), "transcription" if said == "hypothesis" else "classification", texts)


def wrong_label(label: str, predicted: str) -> bool:
    """Whether exactly the right classes were named, in whatever order."""
    return set(named(label, multi_label=True)) != set(named(predicted, multi_label=True))


def _row(result: Result) -> dict[str, Any]:
    utterance = result.utterance
    known = {"audio": utterance.audio, _START: utterance.start or None, "speaker": utterance.speaker}
    row = {name: value for name, value in known.items() if value is not None}
    if result.pair is None:
        return {**row, "label": result.reference, "predicted": result.hypothesis, "errors": result.errors}
    words = result.pair.words
    return {
        **row,
        "reference": result.reference,
        "hypothesis": result.hypothesis,
        "words": words.reference,
        "hits": words.hits,
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
    }


def _key(row: dict[str, Any], origin: str) -> str:
    """As `Utterance.id`."""
    start = columns.seconds(_START, row.get(_START), origin)
    return f"{_text(row.get('audio'))}@{start}" if start else _text(row.get("audio"))


def _text(value: Any) -> str:
    """What stands in a row; a cell without anything is an empty text."""
    return "" if value is None else str(value)


def _check_complete(
    path: Path, manifest: Manifest, taken: Sequence[object], num_lines: int, foreign: Sequence[int]
) -> None:
    """Raise DataError unless every utterance has a hypothesis and every hypothesis an utterance."""
    missing = [utterance for utterance, found in zip(manifest, taken, strict=True) if not found]
    if not missing and not foreign:
        return
    counts = f"{path} holds {num_lines} hypotheses, {manifest.path or 'the manifest'} {len(manifest)} utterances"
    lacks = f"; {len(missing)} have none, first {missing[0].origin} ({missing[0].id})" if missing else ""
    strange = f"; {len(foreign)} are of other utterances, first {path}:{min(foreign)}" if foreign else ""
    raise DataError(f"{counts}{lacks}{strange}; wanted the file that `evaluate --hypotheses` wrote for this manifest")


def _check_reference(path: Path, utterance: Utterance, line: int, row: dict[str, Any], column: str) -> None:
    """Raise DataError where the file was written for another text or label; a file without references is taken."""
    wanted = (utterance.text if column == "reference" else utterance.label) or ""
    written = _text(row.get(column))
    if row.get(column) is not None and written != wanted and columns.plain_name(written) != columns.plain_name(wanted):
        seen = f"{path}:{line} was written for {written[:60]!r}, but {utterance.origin} has {wanted[:60]!r}"
        raise DataError(f"{seen}; wanted hypotheses for the same manifest")
