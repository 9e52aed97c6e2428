"""What a model says of a manifest before and after training: kept in the run folder, and compared in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.options import DecodingOptions
from speechxfer.evaluation.comparison import Comparison, compare_systems
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.evaluation.hypotheses import Hypotheses
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.storage import write_json

#: Where what the untouched model says of a split is kept.
FILES = {"test": "before.json", "retain": "retain_before.json"}


def untouched(
    path: Path, source: SpeechModel, manifest: Manifest, normalizer: TextNormalizer, *,
    options: DecodingOptions | None = None, progress: Progress,
) -> Evaluation:  # fmt: skip
    """How the model fares before training; what it writes is kept at `path` and found again when a run is resumed.

    Raises:
        DataError: unreadable audio, or an utterance without text or label.
        StorageError: it could not be kept.
    """
    known = _kept(path, manifest) if source.head.task == "transcription" else None
    if known is not None:
        return compare(manifest, [Hypothesis(text) for text in known], normalizer)
    evaluation = compare(manifest, predict_all(source, manifest, options=options, progress=progress), normalizer)
    keep(path, manifest, evaluation)
    return evaluation


def _kept(path: Path, manifest: Manifest) -> list[str] | None:
    """What was said of each utterance of the manifest; None where that is not known, or the file is damaged."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        said: list[str] = known["hypotheses"]
        return said if known["data"] == data_digest([manifest]) and len(said) == len(manifest) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def keep(path: Path, manifest: Manifest, evaluation: Evaluation) -> None:
    """Write what was said of each utterance, in the manifest's order, and of which data.

    Raises:
        StorageError: it could not be written.
    """
    write_json(path, {"data": data_digest([manifest]), "hypotheses": said(evaluation)})


def said(evaluation: Evaluation) -> list[str]:
    """Hypotheses, or the classes that were named, in the manifest's order."""
    return [result.hypothesis for result in sorted(evaluation.results, key=lambda result: result.place)]


def difference(
    manifest: Manifest, first: Evaluation, second: Evaluation, names: Sequence[str], normalizer: TextNormalizer
) -> Comparison:
    """The second evaluation of a manifest against the first, pair by pair.

    Raises:
        DataError: one is of transcripts and the other of classes.
    """
    sides = [
        Hypotheses(name, "classification" if one.results[0].pair is None else "transcription", tuple(said(one)))
        for name, one in zip(names, (first, second), strict=True)
    ]
    return compare_systems(manifest, sides[0], sides[1], normalizer)
