"""The predictions of the pre-trained and the adapted model: written to the run once, found again when it is resumed."""

from __future__ import annotations

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import DataError
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.runs import RunFolder
from speechxfer.runs.folder import Measured


def pretrained_results(
    run: RunFolder, split: Measured, model: SpeechModel, manifest: Manifest, normalizer: TextNormalizer, *,
    options: DecodingOptions | None = None, progress: Progress,
) -> Evaluation:  # fmt: skip
    """The results of the pre-trained model on a split; those that the run has already are taken from it.

    Raises:
        DataError: unreadable audio, or an utterance without text or label.
        StorageError: they could not be written.
    """
    kept = _kept(run, split, manifest, normalizer)
    if kept is not None:
        return kept
    predictions = predict_all(model, manifest, options=options, progress=progress)
    found = compare(manifest, predictions, normalizer)
    run.write_predictions(split, "pre-trained", found)
    return found


def _kept(run: RunFolder, split: Measured, manifest: Manifest, normalizer: TextNormalizer) -> Evaluation | None:
    """The results that the run has of the same utterances; None where it has none, or the file is damaged."""
    try:
        kept = run.predictions(split, "pre-trained")
    except DataError:
        return None
    if kept is None or kept.normalizer not in (None, str(normalizer)):
        return None
    wanted = [(one.id, (one.label if kept.normalizer is None else one.text) or "") for one in manifest]
    return kept if [(one.utterance.id, one.reference) for one in kept.in_order] == wanted else None
