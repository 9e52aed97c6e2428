"""Predictions that workers of an engine make, each with a model of its own."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from speechxfer.api.loading import load
from speechxfer.config.paths import located_model
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.checkpoints import Checkpoint, find
from speechxfer.encoders.files import add_file
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError, SpeechxferError
from speechxfer.predictor import Predictor
from speechxfer.progress import Progress, Warnings
from speechxfer.runtime.folder import is_exported

if TYPE_CHECKING:
    from speechxfer.evaluation.evaluate import Compute


class Batch(NamedTuple):
    """Utterances that are computed together, and their numbers."""

    numbers: Sequence[int]
    utterances: Sequence[Utterance]


class Predicted(NamedTuple):
    """What a worker made of a batch, with warnings and their kinds."""

    numbers: Sequence[int]
    predictions: Sequence[Prediction]
    warnings: list[tuple[str, str]]


@dataclass(frozen=True)
class PredictionTask:
    """A model that predicts batches of utterances.

    Attributes:
        model: a name as `load` takes it.
        device: as for `load`.
        options: how it decodes.
    """

    model: str
    device: str
    options: DecodingOptions

    def versions(self) -> dict[str, str]:
        """Those of this package and of the model.

        Raises:
            CheckpointError: there is no such model, or it cannot be read.
        """
        return versions_of(self.model, self.options.language)

    def open(self, _readers: int) -> Callable[[Sequence[Batch]], Predicted]:
        """Load the model."""
        model = load(self.model, device=self.device, language=self.options.language)
        return functools.partial(_predicted, model, self.options)

    def lost(self, batch: Batch, reason: str) -> NoReturn:
        """A figure without these utterances would not be that of the manifest."""
        raise SpeechxferError(f"{batch.utterances[0].origin}: {reason} (it is computed with {len(batch.numbers) - 1} others); leave it out, or pass fewer --actors")  # fmt: skip  # noqa: E501


def _predicted(model: Predictor, options: DecodingOptions, batches: Sequence[Batch]) -> Predicted:
    (batch,), warnings = batches, Warnings()
    predictions = model.predict([read(one, warnings) for one in batch.utterances], options)
    return Predicted(batch.numbers, predictions, warnings.take())


def predict_elsewhere(
    engine: Engine, model: Any, device: str, options: DecodingOptions | None, progress: Progress | None
) -> Compute:
    """What predicts batches of a manifest by the workers of an engine, in any order.

    Raises:
        ConfigError: there are no such workers, or the model has no name by which they could open it.
    """
    if not isinstance(model, str | os.PathLike):
        raise ConfigError("an engine's workers open the model themselves; wanted the name of a model in place of one that is open")  # fmt: skip  # noqa: E501
    engine.check()
    # Workers have working folders of their own.
    task = PredictionTask(located_model(os.fspath(model)), device, options or DecodingOptions())

    def predictions(
        manifest: Manifest, batches: Iterable[Sequence[int]]
    ) -> Iterator[tuple[Sequence[int], Sequence[Prediction]]]:
        sent = (Batch(numbers, [manifest[number].located() for number in numbers]) for numbers in batches)
        for found in engine.map(task, sent):
            for message, kind in found.warnings:
                (progress or Progress()).warn(message, kind)
            yield found.numbers, found.predictions

    return predictions


def versions_of(name: str, language: str | None = None) -> dict[str, str]:
    """The versions of this package and of a model, wherever its folder is.

    Raises:
        CheckpointError: there is no such model, or a file cannot be read.
    """
    return {"speechxfer": importlib.metadata.version("speechxfer"), "model": _model_digest(name, language)}


def _model_digest(name: str, language: str | None) -> str:
    """A name for all files of a model."""
    if is_exported(name):
        return _digest([Path(name).expanduser()])
    checkpoint: Checkpoint | None = find(name, language=language)
    folders = []
    while checkpoint is not None:  # an adapter, and the model below it
        folders.append(checkpoint.folder)
        checkpoint = checkpoint.base
    return _digest(folders)


def _digest(folders: Iterable[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            add_file(digest, path.relative_to(folder).as_posix(), path)
    return digest.hexdigest()
