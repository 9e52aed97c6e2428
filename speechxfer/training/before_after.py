"""The predictions of the pre-trained and the adapted model: written to the run once, found again when it is resumed."""

from __future__ import annotations

import math

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import DataError
from speechxfer.evaluation.evaluate import predict_all
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.heads.base import Head
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint
from speechxfer.progress import Progress
from speechxfer.runs import Allotment, RunFolder
from speechxfer.runs.folder import Measured
from speechxfer.training.job import Job, retain_options
from speechxfer.training.starting_point import StartingPoint


def part(manifest: Manifest, fraction: float) -> Manifest:
    """So much of a split, at even distances."""
    return manifest.spread(math.ceil(fraction * len(manifest)))


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


def source_of(job: Job, start: StartingPoint) -> SpeechModel | None:
    """The pre-trained model, if its predictions are of the same kind as those of the adapted one."""
    config = job.config
    is_unmeasured = config.test is None and config.retain is None
    if is_unmeasured or not (start.transcribes or config.head_type.is_classifier):
        return None
    checkpoint = find(config.model, language=config.language)
    opened = open_checkpoint(checkpoint, head=None if config.head_type.is_classifier else OWN)
    if opened.problem:
        job.progress.log(f"before: {opened.problem}; what it gives as it is cannot be measured")
    if opened.head is None or not opened.head.is_comparable(start.model.head):
        return None
    return SpeechModel(opened.encoder, opened.head, opened.source).to(job.device).eval()


def measured(
    job: Job, source: SpeechModel, adapted: Head, manifests: dict[str, Manifest], allotment: Allotment | None
) -> dict[str, Evaluation]:
    """The pre-trained model's results on test and retain, or on the part of both that it has time for."""
    config = job.config
    splits: tuple[Measured, ...] = ("test", "retain")
    fraction = allotment.pretrained if allotment else 1.0
    wanted = {name: part(manifests[name], fraction) for name in splits if fraction and name in manifests}
    # With the beams of the adapted model: the training is compared, not the search.
    same_beams = DecodingOptions(beams=adapted.decoding_defaults.beams).only(source.head.decoding_options)
    found: dict[str, Evaluation] = {}
    for name, manifest in wanted.items():
        options = retain_options(config, source.head).over(same_beams) if name == "retain" else same_beams
        job.progress.log(f"before: {config.model} as it is on {name}")
        found[name] = pretrained_results(
            job.folder, name, source, manifest, job.normalizer, options=options, progress=job.progress
        )
        job.progress.log(f"before: {name} {found[name]}")
    return found
