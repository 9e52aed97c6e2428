"""Confidences of a run's model: calibrated on dev at the end of training."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.calibration import Calibrated, measured
from speechxfer.model import SpeechModel, add_calibration
from speechxfer.progress import Progress
from speechxfer.runs import RunFolder


def calibrate(
    folder: RunFolder, model: SpeechModel, dev: Manifest, normalizer: TextNormalizer, progress: Progress
) -> Calibrated | None:
    """Calibrate the confidences of the run's model on dev, and save it so; None where dev has too few words.

    Raises:
        StorageError: it could not be written.
    """
    try:
        found = measured(model, dev, normalizer, progress=progress)
    except DataError as error:
        progress.log(f"confidences are not calibrated: {error}")
        return None
    progress.log(f"confidences: {found}")
    add_calibration(folder.model, found.calibration)
    return found


def described(found: Calibrated) -> dict[str, Any]:
    """What the run's figures say of it."""
    return {**asdict(found.calibration), "dev": {"before": found.before.error, "after": found.after.error}}
