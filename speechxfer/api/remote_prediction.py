"""Predictions that workers of an engine make, each with a model of its own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from speechxfer.api.loading import load
from speechxfer.config.paths import located_model
from speechxfer.data.loading import read
from speechxfer.data.manifest import Utterance
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError
from speechxfer.evaluation.remote_batches import Answer, Batch, answered, answers, raise_lost
from speechxfer.model_versions import versions_of
from speechxfer.predictor import Predictor
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.evaluation.evaluate import Compute


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

    def open(self, _readers: int) -> Callable[[Sequence[Batch]], Answer]:
        """Load the model."""
        model = load(self.model, device=self.device, language=self.options.language)
        return functools.partial(answered, functools.partial(_predicted, model, self.options))

    def lost(self, batch: Batch, reason: str) -> NoReturn:
        """End the work."""
        raise_lost(batch, reason)


def _predicted(
    model: Predictor, options: DecodingOptions, utterances: Sequence[Utterance], progress: Progress
) -> Sequence[Prediction]:
    return model.predict([read(one, progress) for one in utterances], options)


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
    return lambda manifest, batches: answers(engine, task, manifest, batches, progress)
