"""Adapt a pre-trained speech encoder to the audio of one domain, and use the result.

Names are resolved when they are first used, so that importing the package costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speechxfer.config import FinetuneConfig as FinetuneConfig
    from speechxfer.data.dataset import Dataset as Dataset
    from speechxfer.data.manifest import Manifest as Manifest
    from speechxfer.data.manifest import Utterance as Utterance
    from speechxfer.data.text import TextNormalizer as TextNormalizer
    from speechxfer.decoding.hypothesis import Classification as Classification
    from speechxfer.decoding.options import DecodingOptions as DecodingOptions
    from speechxfer.errors import SpeechxferError as SpeechxferError
    from speechxfer.evaluation.evaluate import evaluate as evaluate
    from speechxfer.evaluation.metrics import error_rates as error_rates
    from speechxfer.evaluation.results import Evaluation as Evaluation
    from speechxfer.inference import Transcript as Transcript
    from speechxfer.model import SpeechModel as SpeechModel
    from speechxfer.progress import Progress as Progress
    from speechxfer.sources import AudioSource as AudioSource
    from speechxfer.sources import FileSource as FileSource
    from speechxfer.training.callbacks.base import Callback as Callback
    from speechxfer.training.finetune import finetune as finetune
    from speechxfer.training.state import TrainingState as TrainingState

__version__ = "0.1.0"

__all__ = [
    "AudioSource",
    "Callback",
    "Classification",
    "Dataset",
    "DecodingOptions",
    "Evaluation",
    "FileSource",
    "FinetuneConfig",
    "Manifest",
    "Progress",
    "SpeechModel",
    "SpeechxferError",
    "TextNormalizer",
    "TrainingState",
    "Transcript",
    "Utterance",
    "error_rates",
    "evaluate",
    "finetune",
    "load",
]

_HOMES = {
    "AudioSource": "sources",
    "Callback": "training.callbacks.base",
    "Classification": "decoding.hypothesis",
    "Dataset": "data.dataset",
    "DecodingOptions": "decoding.options",
    "Evaluation": "evaluation.results",
    "FileSource": "sources",
    "FinetuneConfig": "config",
    "Manifest": "data.manifest",
    "Progress": "progress",
    "SpeechModel": "model",
    "SpeechxferError": "errors",
    "TextNormalizer": "data.text",
    "TrainingState": "training.state",
    "Transcript": "inference",
    "Utterance": "data.manifest",
    "error_rates": "evaluation.metrics",
    "evaluate": "evaluation.evaluate",
    "finetune": "training.finetune",
}


def load(
    name: str, *, device: str = "auto", dtype: str = "float32", threads: int | None = None, revision: str | None = None
) -> SpeechModel:
    """Open an adapted model, a CTC or classification model of `transformers`, or a Whisper with its own decoder.

    Short for `SpeechModel.load`, which explains the arguments.

    Raises:
        CheckpointError: not found, damaged, or without a head, so that it gives no predictions by itself.
        ConfigError: no such device here, a dtype that the device lacks, less than one thread, or a revision of a folder
            or package.
    """
    from speechxfer.model import SpeechModel

    return SpeechModel.load(name, device=device, dtype=dtype, threads=threads, revision=revision)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'speechxfer' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"speechxfer.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
