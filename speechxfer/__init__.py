"""Adapt a pre-trained speech encoder to the audio of one domain, and use the result.

Names are resolved when they are first used, so that importing the package costs no torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechxfer.alignment.manifests import AlignedManifest as AlignedManifest
    from speechxfer.alignment.result import Alignment as Alignment
    from speechxfer.alignment.result import Mismatch as Mismatch
    from speechxfer.api.alignment import align as align
    from speechxfer.api.alignment import align_manifest as align_manifest
    from speechxfer.api.calibration import calibrate as calibrate
    from speechxfer.api.data import check as check
    from speechxfer.api.data import split as split
    from speechxfer.api.evaluation import compare as compare
    from speechxfer.api.evaluation import evaluate as evaluate
    from speechxfer.api.language_models import train_language_model as train_language_model
    from speechxfer.api.language_models import tune_language_model as tune_language_model
    from speechxfer.api.output import export as export
    from speechxfer.api.output import report as report
    from speechxfer.api.planning import plan as plan
    from speechxfer.api.planning import probe as probe
    from speechxfer.api.suggesting import suggest as suggest
    from speechxfer.api.training import finetune as finetune
    from speechxfer.api.training import interpolate as interpolate
    from speechxfer.cli import Command as Command
    from speechxfer.cli.terminal import TerminalProgress as TerminalProgress
    from speechxfer.config import AugmentConfig as AugmentConfig
    from speechxfer.config import FinetuneConfig as FinetuneConfig
    from speechxfer.config import PlanConfig as Plan
    from speechxfer.config import PoolingConfig as PoolingConfig
    from speechxfer.config import RetentionConfig as RetentionConfig
    from speechxfer.config import TextConfig as TextConfig
    from speechxfer.config import TrainingConfig as TrainingConfig
    from speechxfer.data.dataset import Dataset as Dataset
    from speechxfer.data.manifest import Manifest as Manifest
    from speechxfer.data.manifest import Utterance as Utterance
    from speechxfer.data.text import TextNormalizer as TextNormalizer
    from speechxfer.decoding.hypothesis import Classification as Classification
    from speechxfer.decoding.hypothesis import Word as Word
    from speechxfer.decoding.options import DecodingOptions as DecodingOptions
    from speechxfer.errors import AudioError as AudioError
    from speechxfer.errors import CheckpointError as CheckpointError
    from speechxfer.errors import ConfigError as ConfigError
    from speechxfer.errors import DataError as DataError
    from speechxfer.errors import DiskFullError as DiskFullError
    from speechxfer.errors import ExportError as ExportError
    from speechxfer.errors import MissingPackageError as MissingPackageError
    from speechxfer.errors import SpeechxferError as SpeechxferError
    from speechxfer.errors import StorageError as StorageError
    from speechxfer.errors import TrainingError as TrainingError
    from speechxfer.errors import TruncatedAudioError as TruncatedAudioError
    from speechxfer.evaluation.comparison import Comparison as Comparison
    from speechxfer.evaluation.confusion import draw_confusion as draw_confusion
    from speechxfer.evaluation.keywords import keyword_scores as keyword_scores
    from speechxfer.evaluation.keywords import word_scores as word_scores
    from speechxfer.evaluation.metrics import error_rates as error_rates
    from speechxfer.evaluation.predictions import write_predictions as write_predictions
    from speechxfer.evaluation.results import Evaluation as Evaluation
    from speechxfer.evaluation.slices import slices as slices
    from speechxfer.heads.classification.settings import ClassificationConfig as ClassificationConfig
    from speechxfer.heads.ctc.settings import CTCConfig as CTCConfig
    from speechxfer.heads.seq2seq.settings import Seq2SeqConfig as Seq2SeqConfig
    from speechxfer.inference.streaming import Stream as Stream
    from speechxfer.inference.streaming import StreamResult as StreamResult
    from speechxfer.inference.subtitles.options import SubtitleOptions as SubtitleOptions
    from speechxfer.inference.transcript import Segment as Segment
    from speechxfer.inference.transcript import Transcript as Transcript
    from speechxfer.inference.writers import write_transcript as write_transcript
    from speechxfer.language_models import LanguageModel as LanguageModel
    from speechxfer.model import SpeechModel as SpeechModel
    from speechxfer.predictor import Predictor as Predictor
    from speechxfer.progress import Progress as Progress
    from speechxfer.sources import AudioSource as AudioSource
    from speechxfer.sources import FileSource as FileSource
    from speechxfer.training.callbacks.base import Callback as Callback
    from speechxfer.training.finetune import Run as Run
    from speechxfer.training.state import TrainingState as TrainingState

__version__ = "0.1.0"

__all__ = [
    "AlignedManifest",
    "Alignment",
    "AudioError",
    "AudioSource",
    "AugmentConfig",
    "CTCConfig",
    "Callback",
    "CheckpointError",
    "Classification",
    "ClassificationConfig",
    "Command",
    "Comparison",
    "ConfigError",
    "DataError",
    "Dataset",
    "DecodingOptions",
    "DiskFullError",
    "Evaluation",
    "ExportError",
    "FileSource",
    "FinetuneConfig",
    "LanguageModel",
    "Manifest",
    "Mismatch",
    "MissingPackageError",
    "Plan",
    "PoolingConfig",
    "Predictor",
    "Progress",
    "RetentionConfig",
    "Run",
    "Segment",
    "Seq2SeqConfig",
    "SpeechModel",
    "SpeechxferError",
    "StorageError",
    "Stream",
    "StreamResult",
    "SubtitleOptions",
    "TerminalProgress",
    "TextConfig",
    "TextNormalizer",
    "TrainingConfig",
    "TrainingError",
    "TrainingState",
    "Transcript",
    "TruncatedAudioError",
    "Utterance",
    "Word",
    "align",
    "align_manifest",
    "calibrate",
    "check",
    "compare",
    "draw_confusion",
    "error_rates",
    "evaluate",
    "export",
    "finetune",
    "interpolate",
    "keyword_scores",
    "load",
    "plan",
    "probe",
    "report",
    "slices",
    "split",
    "suggest",
    "train_language_model",
    "tune_language_model",
    "word_scores",
    "write_predictions",
    "write_transcript",
]

#: Module -> the public names that it holds.
_MODULES = {
    "alignment.result": ("Alignment", "Mismatch"),
    "alignment.manifests": ("AlignedManifest",),
    "api.alignment": ("align", "align_manifest"),
    "api.calibration": ("calibrate",),
    "api.data": ("check", "split"),
    "api.evaluation": ("compare", "evaluate"),
    "api.language_models": ("train_language_model", "tune_language_model"),
    "api.output": ("export", "report"),
    "api.planning": ("plan", "probe"),
    "api.suggesting": ("suggest",),
    "api.training": ("finetune", "interpolate"),
    "cli": ("Command",),
    "cli.terminal": ("TerminalProgress",),
    "config": (
        "AugmentConfig",
        "FinetuneConfig",
        "Plan",
        "PoolingConfig",
        "RetentionConfig",
        "TextConfig",
        "TrainingConfig",
    ),
    "data.dataset": ("Dataset",),
    "data.manifest": ("Manifest", "Utterance"),
    "data.text": ("TextNormalizer",),
    "decoding.hypothesis": ("Classification", "Word"),
    "decoding.options": ("DecodingOptions",),
    "errors": (
        "AudioError",
        "CheckpointError",
        "ConfigError",
        "DataError",
        "DiskFullError",
        "ExportError",
        "MissingPackageError",
        "SpeechxferError",
        "StorageError",
        "TrainingError",
        "TruncatedAudioError",
    ),
    "evaluation.comparison": ("Comparison",),
    "evaluation.confusion": ("draw_confusion",),
    "evaluation.keywords": ("keyword_scores", "word_scores"),
    "evaluation.metrics": ("error_rates",),
    "evaluation.predictions": ("write_predictions",),
    "evaluation.results": ("Evaluation",),
    "evaluation.slices": ("slices",),
    "heads.classification.settings": ("ClassificationConfig",),
    "heads.ctc.settings": ("CTCConfig",),
    "heads.seq2seq.settings": ("Seq2SeqConfig",),
    "language_models": ("LanguageModel",),
    "inference.subtitles.options": ("SubtitleOptions",),
    "inference.streaming": ("Stream", "StreamResult"),
    "inference.transcript": ("Segment", "Transcript"),
    "inference.writers": ("write_transcript",),
    "model": ("SpeechModel",),
    "predictor": ("Predictor",),
    "progress": ("Progress",),
    "sources": ("AudioSource", "FileSource"),
    "training.callbacks.base": ("Callback",),
    "training.finetune": ("Run",),
    "training.state": ("TrainingState",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
#: Names that are others where they stand.
_OTHER_NAMES = {"Plan": "PlanConfig"}


def load(
    name: str, *, device: str = "auto", dtype: str = "float32", threads: int | None = None,
    revision: str | None = None, language: str | None = None,
) -> Predictor:  # fmt: skip
    """Open an adapted model, a CTC or classification model of `transformers`, one with its own decoder, or an export.

    `SpeechModel.load` explains the arguments. The folder that `export` writes for ONNX is opened without torch; it runs
    on the CPU, in the precision that it was exported in.

    Raises:
        CheckpointError: not found, damaged, without the language, or without a head, so that it gives no predictions by
            itself.
        ConfigError: no such device here, a dtype that the device lacks, less than one thread, a revision of a folder or
            package, or a language of a model that has no choice of them.
    """
    from speechxfer.api.loading import load as opened

    return opened(name, device=device, dtype=dtype, threads=threads, revision=revision, language=language)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'speechxfer' has no attribute {name!r}")
    from speechxfer.extras import explained

    with explained():
        value = getattr(importlib.import_module(f"speechxfer.{_HOMES[name]}"), _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """`speechxfer.report` stays the function when the module of that name is imported, which Python would put here."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
