"""Confidences that can be believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from speechxfer.api.evaluation import Model, opened_predictor
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import ConfigError
from speechxfer.extras import explained
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.evaluation.calibration import Calibrated


@explained()
def calibrate(
    model: Model,
    dev: Data,
    normalizer: str | TextNormalizer = "basic",
    *,
    output: str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Calibrated:
    """Find how the confidences of a model's words should be corrected, and save the model so.

    Args:
        model: an opened model, trained or exported, a `Run`, or a folder, an installed package or a name on the hub.
        dev: utterances that the model was not trained on, and that are not the test split; data as for `evaluate`.
        normalizer: applied to both sides before words are compared.
        output: folder for the model with its calibration; without one, it is only measured.
        device: for a model that is opened here.
        progress: receives what goes on.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: the model is a classifier, or no such normalizer or device.
        DataError: there are too few words, an utterance without text, or unreadable audio.
        StorageError: it could not be written.
    """
    dataset = Dataset.of(dev)
    dataset.check_files()
    opened = opened_predictor(model, device)
    from speechxfer.evaluation.calibration import measured

    if opened.traits.task != "transcription":
        raise ConfigError("the model is a classifier, whose confidences are not calibrated; wanted one that writes text")  # fmt: skip  # noqa: E501
    counted = TextNormalizer(normalizer) if isinstance(normalizer, str) else normalizer
    found = measured(opened, dataset, counted, progress=progress)
    if output is not None:
        before, opened.calibration = opened.calibration, found.calibration
        try:
            opened.save(Path(output))
        finally:
            opened.calibration = before
    return found
