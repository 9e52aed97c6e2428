"""What is added to a trained model: a language model where there is one, and confidences that are calibrated."""

from __future__ import annotations

import time

from speechxfer.data.manifest import Manifest
from speechxfer.evaluation.fusion_tuning import Tuned
from speechxfer.language_models import LanguageModel
from speechxfer.model import SpeechModel
from speechxfer.runs import Metrics
from speechxfer.training import calibration
from speechxfer.training.checkpoint import Position
from speechxfer.training.job import Job
from speechxfer.training.language_model import fuse
from speechxfer.training.preparation import Preparation


def load(job: Job) -> SpeechModel:
    """The run's model, as it is saved."""
    return SpeechModel.load(str(job.folder.model), device=job.config.device)


def completed(
    job: Job, language_model: LanguageModel | None, dev: Manifest, position: Position, preparation: Preparation
) -> tuple[Tuned | None, Metrics]:
    """What is added to the trained model, a language model and calibrated confidences, and figures of the training."""
    begun = time.monotonic()
    tuned, calibrated = _fused(job, language_model, dev), _calibrated(job, dev)
    seconds = {
        "prefix": preparation.seconds.get("train", 0.0), "training": position.training_s, "dev": position.dev_s,
        "after": time.monotonic() - begun,
    }  # fmt: skip
    return tuned, {
        "dev": position.best_scores, "best_epoch": position.best_epoch, "epochs": position.epoch,
        "steps": position.step, "seconds": {name: round(value, 2) for name, value in seconds.items()}, **calibrated,
    }  # fmt: skip


def _fused(job: Job, language_model: LanguageModel | None, dev: Manifest) -> Tuned | None:
    """The language model with its weights, which is part of the run's model from now on, if it helps."""
    if language_model is None:
        return None
    return fuse(job.folder, load(job), language_model, dev, job.normalizer, job.progress)


def _calibrated(job: Job, dev: Manifest) -> Metrics:
    """Calibrate the confidences of the run's model, where it writes text, and say how."""
    if job.config.head_type.is_classifier or not job.world.is_main:
        return {}
    found = calibration.calibrate(job.folder, load(job), dev, job.normalizer, job.progress)
    return {"calibration": calibration.described(found)} if found else {}
