"""Files of predictions: one line an utterance, with all that reports and comparisons need.

A line of transcripts has: version, id, audio, reference, text, alignment (pairs of words: [reference, hypothesis], the
side that has none being null), characters (hits, substitutions, deletions, insertions), errors and normalizer; and,
where they are known, confidence, words with their times in seconds, start, duration, speaker and extra columns of the
manifest. A line of classes has their probabilities in the place of text, alignment and characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from itertools import groupby
from pathlib import Path
from typing import Any

import jiwer

from speechxfer.data import rows
from speechxfer.data.manifest import Utterance, length_s, utterance_of
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation.metrics import Counts, Pair
from speechxfer.evaluation.results import Evaluation, Result, assembled
from speechxfer.records import converted

VERSION = 1
#: Larger counts are no counts.
_MOST = 10**9
#: Columns that hold text; in a table the others hold JSON.
_TEXTS = ("id", "audio", "speaker", "line", "reference", "text", "normalizer", "label", "transcript")
_COLUMNS = ("start", "duration", "speaker", "audio_stream", "audio_channel")
#: Types of values in a line.
_Extra: Any = dict[str, Any] | None
_Text: Any = str | None
_Probabilities: Any = dict[str, float] | None
_Alignment: Any = list[tuple[str | None, str | None]]
_KINDS = {(True, True): "substitute", (True, False): "delete", (False, True): "insert"}


def write_predictions(path: Path, evaluation: Evaluation) -> None:
    """Write one line an utterance, in the manifest's order and the format of the suffix.

    Raises:
        ConfigError: the suffix is no manifest's.
        StorageError: the file cannot be written.
    """
    rows.write(path, [row_of(result, evaluation.normalizer) for result in evaluation.in_order])


def read_predictions(path: Path, folder: Path) -> Evaluation:
    """What `write_predictions` wrote; nothing is aligned again.

    Args:
        path: of the file.
        folder: where the manifest is, from which relative paths of audio are seen.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    found = [result_of(row, f"{path}:{line}", place, folder) for place, (line, row) in enumerate(rows.read(path))]
    if not found:
        raise DataError(f"{path}: holds no predictions; wanted one line an utterance")
    try:
        TextNormalizer.named(converted(_Text, found[0][1], "normalizer") or "none")
        return assembled([result for result, _ in found], found[0][1])
    except (ConfigError, DataError, ValueError, ZeroDivisionError) as error:
        raise DataError(f"{path}: is damaged ({error})") from error


def row_of(result: Result, normalizer: str | None) -> dict[str, Any]:
    """An utterance with its prediction as plain values for JSON."""
    utterance = result.utterance
    known = {name: getattr(utterance, name) for name in _COLUMNS}
    known |= {"start": utterance.start or None, "duration": _duration(utterance)}
    about = {"version": VERSION, "id": utterance.id, "audio": utterance.audio, **known}
    about |= {"line": utterance.origin, "extra": dict(utterance.extra) or None, "reference": result.reference}
    values = {**about, **_predicted(result), "errors": result.errors, "normalizer": normalizer}
    return {name: value for name, value in values.items() if value is not None}


def result_of(row: Mapping[str, Any], origin: str, place: int, folder: Path) -> tuple[Result, str | None]:
    """The utterance of a row with its prediction, and the normalizer that was applied before the alignment.

    Raises:
        DataError: the row is not one that `row_of` makes.
    """
    try:
        return _result(_decoded(row), place, folder), row.get("normalizer")
    except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
        raise DataError(f"{origin}: is damaged, or no prediction ({type(error).__name__}: {error})") from error


def aligned_words(pair: Pair) -> list[tuple[str | None, str | None]]:
    """Words of the reference and of the hypothesis side by side; None where the other has an additional one."""
    found: list[tuple[str | None, str | None]] = []
    for chunk in pair.chunks:
        wanted = pair.reference[chunk.ref_start_idx : chunk.ref_end_idx]
        written = pair.hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        length = max(len(wanted), len(written))
        found += zip([*wanted, *[None] * (length - len(wanted))], [*written, *[None] * (length - len(written))], strict=True)  # fmt: skip  # noqa: E501
    return found


def _duration(utterance: Utterance) -> float | None:
    """Seconds, so that they are known where the recording is gone; None where it is gone already."""
    try:
        return length_s(utterance)
    except DataError:
        return None


def _predicted(result: Result) -> dict[str, Any]:
    prediction = result.prediction
    if isinstance(prediction, Classification):
        classes = dict(zip(prediction.labels, prediction.probabilities, strict=True))
        multi_label = prediction.multi_label or None
        return {"classes": classes, "multi_label": multi_label, "transcript": result.utterance.text}
    found: dict[str, Any] = {"text": prediction.text, "confidence": prediction.confidence}
    found["label"] = result.utterance.label
    found["words"] = [{name: value for name, value in asdict(word).items() if value is not None} for word in prediction.words] or None  # fmt: skip  # noqa: E501
    if result.pair is not None:
        found |= {"alignment": aligned_words(result.pair), "characters": list(astuple(result.pair.characters))}
    return found


def _decoded(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.loads(value) if name not in _TEXTS and isinstance(value, str) else value for name, value in row.items()}  # fmt: skip  # noqa: E501


def _result(row: Mapping[str, Any], place: int, folder: Path) -> Result:
    if row["version"] != VERSION:
        raise ValueError(f"version {row['version']}; this version of speechxfer reads {VERSION}")
    reference, errors = converted(_Text, row["reference"], "reference") or "", converted(int, row["errors"], "errors")
    if classes := converted(_Probabilities, row.get("classes"), "classes"):
        chosen = Classification(tuple(classes), tuple(classes.values()), bool(row.get("multi_label")))
        utterance = _utterance(row, {"label": reference, "text": row.get("transcript")}, folder)
        return Result(utterance, reference, chosen, errors, place)
    prediction = converted(Hypothesis, {**row, "text": row["text"] or "", "words": row.get("words") or []})
    confidences = prediction.confidence, *(word.confidence for word in prediction.words)
    if any(not 0 <= one <= 1 for one in confidences if one is not None):
        raise ValueError("a confidence is outside 0 to 1")
    counts = converted(tuple[int, int, int, int], row["characters"], "characters")
    if not all(0 <= one <= _MOST for one in (errors, *counts)):
        raise ValueError(f"errors are {errors} and characters {counts}; wanted counts")
    pair = _pair(converted(_Alignment, row["alignment"], "alignment"), Counts(*counts))
    utterance = _utterance(row, {"text": reference, "label": row.get("label")}, folder)
    return Result(utterance, reference, prediction, errors, place, pair)


def _utterance(row: Mapping[str, Any], reference: Mapping[str, str | None], folder: Path) -> Utterance:
    known = {name: row[name] for name in ("audio", *_COLUMNS) if row.get(name) is not None}
    extra, line = converted(_Extra, row.get("extra"), "extra"), converted(_Text, row["line"], "line")
    return utterance_of({**known, **(extra or {}), **reference}, line or "", folder)


def _pair(alignment: Sequence[Sequence[str | None]], characters: Counts) -> Pair:
    """What `align` made, from its words side by side."""
    chunks, reference, hypothesis = [], 0, 0
    for kind, stretch in groupby(alignment, _kind):
        length = len(list(stretch))
        ends = reference + length * (kind != "insert"), hypothesis + length * (kind != "delete")
        chunks.append(jiwer.AlignmentChunk(kind, reference, ends[0], hypothesis, ends[1]))
        reference, hypothesis = ends
    wanted, written = ([word for pair in alignment if (word := pair[side]) is not None] for side in (0, 1))
    return Pair.of(wanted, written, chunks, characters)


def _kind(pair: Sequence[str | None]) -> str:
    wanted, written = pair
    return "equal" if wanted == written else _KINDS[wanted is not None, written is not None]
