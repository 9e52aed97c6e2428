"""How wrong a model is, and whether another one is better."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from speechxfer.api.loading import load
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError
from speechxfer.extras import explained
from speechxfer.progress import Progress
from speechxfer.runtime.folder import is_exported

if TYPE_CHECKING:
    from speechxfer.evaluation.comparison import Comparison
    from speechxfer.evaluation.results import Evaluation
    from speechxfer.model import SpeechModel
    from speechxfer.predictor import Predictor
    from speechxfer.training.finetune import Run

#: A model that is open, a finished run, or a name to open it by.
Model: TypeAlias = "str | os.PathLike[str] | Predictor | Run"
#: A side of a comparison: a model, what `evaluate` found, or the file that `write_predictions` wrote.
System: TypeAlias = "Model | Evaluation"


@explained()
def evaluate(
    model: Model,
    data: Data,
    normalizer: str | TextNormalizer = "basic",
    *,
    options: DecodingOptions | None = None,
    strict: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Evaluation:
    """Transcribe or classify data with a model and compare with its texts or labels.

    `slices`, `keyword_scores` and `word_scores` look closer at what is returned.

    Args:
        model: a `SpeechModel` or another opened model, a `Run`, or a folder, an installed package or a name on the hub.
        data: the path of a manifest, a `Manifest`, utterances or dictionaries, or a data set of Hugging Face.
        normalizer: applied to both sides before they are compared: "basic", "none", "whisper-english",
            "whisper-basic".
        options: how the model decodes; a model that is opened here is opened in their language.
        strict: a file that is a little shorter than it should be is an error.
        device: "auto", "cpu", "cuda" or "cuda:N", for a model that is opened here.
        progress: receives what goes on.
        engine: whose workers predict, such as `speechxfer.jobs.on_ray.OnRay()`; for a model that is opened here.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: no such normalizer or device, an option of decoding that the head does not have, or an engine whose
            workers cannot be had.
        DataError: an utterance without text or label, a label the model does not know, no word in any text, or
            unreadable audio.
    """
    normalize, dataset = _normalizer(normalizer), _dataset(data, strict=strict)
    compute = None
    if engine is not None:
        from speechxfer.api.remote_prediction import predict_elsewhere

        compute = predict_elsewhere(engine, model, device, options, progress)
    # Where workers compute, this model only says what it takes.
    opened = opened_predictor(model, "cpu" if engine else device, options.language if options else None)
    from speechxfer.evaluation.evaluate import evaluate as measure

    return measure(opened, dataset, normalize, options=options, progress=progress, compute=compute)


@explained()
def compare(
    first: System,
    second: System,
    data: Data,
    normalizer: str | TextNormalizer = "basic",
    *,
    options: DecodingOptions | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Comparison:
    """Whether the second of two systems is better than the first by more than chance.

    Both answer the same utterances, so their errors are compared pair by pair: by a bootstrap over utterances, or over
    speakers where at least five are named, and by the matched-pairs test of NIST.

    Args:
        first: a model as for `evaluate`, what `evaluate` returned for the same data, or the path of a file that
            `write_predictions` (`speechxfer evaluate --predictions`) wrote.
        second: another one.
        data: as for `evaluate`.
        normalizer: as for `evaluate`.
        options: how models decode; those that are opened here are opened in their language.
        device: for models that are opened here.
        progress: receives what goes on.

    Raises:
        CheckpointError: a model cannot be found or read.
        ConfigError: no such normalizer or device, or an option of decoding that a head does not have.
        DataError: an utterance without text or label, predictions of other data, or unreadable audio.
    """
    normalize, dataset = _normalizer(normalizer), Dataset.of(data)
    progress = progress or Progress()
    known = [_known(system, dataset, normalize) for system in (first, second)]
    if not all(known):
        dataset.check_files()
    from speechxfer.evaluation.comparison import compare_systems
    from speechxfer.evaluation.metrics import damage

    if warning := damage(dataset.texts, normalize):
        progress.log(warning)
    sides = [
        side or _answers(system, dataset, normalize, options, device, progress)
        for system, side in zip((first, second), known, strict=True)
    ]
    return compare_systems((_name(first, "first"), _name(second, "second")), *sides)


def _answers(
    system: Any, dataset: Dataset, normalizer: TextNormalizer, options: DecodingOptions | None, device: str,
    progress: Progress,
) -> Evaluation:  # fmt: skip
    """What a model writes for data."""
    from speechxfer.evaluation.evaluate import predict_all
    from speechxfer.evaluation.results import compare as compared

    model = opened_predictor(system, device, options.language if options else None)
    model.traits.check_measurable(dataset, normalizer)
    return compared(dataset, predict_all(model, dataset, options=options, progress=progress), normalizer)


def _known(system: Any, dataset: Dataset, normalizer: TextNormalizer) -> Evaluation | None:
    """What is known of a system already; None for a model, whose name is looked up.

    Raises:
        CheckpointError: there is no such model.
        DataError: it is of other data.
    """
    from speechxfer.data.rows import SUFFIXES
    from speechxfer.evaluation.matching import read_matching
    from speechxfer.evaluation.results import Evaluation

    if isinstance(system, Evaluation):
        return system
    if not isinstance(system, str | os.PathLike):
        return None
    if Path(system).suffix.lower() in SUFFIXES:
        return read_matching(Path(system), dataset, normalizer)
    if not is_exported(os.fspath(system)):
        from speechxfer.encoders.checkpoints import find

        find(os.fspath(system))
    return None


def _name(system: Any, otherwise: str) -> str:
    """What a comparison calls a system: the path it was given as, the folder of a run, or its place."""
    named = getattr(system, "folder", system)
    return os.fspath(named) if isinstance(named, str | os.PathLike) else otherwise


def opened_predictor(model: Any, device: str = "auto", language: str | None = None) -> Predictor:
    """The model itself, that of a run, or the one of a name, opened in a language.

    Raises:
        CheckpointError: it cannot be found or read, or lacks the language.
        ConfigError: it is none of these, or there is no such device.
    """
    if isinstance(model, str | os.PathLike):
        return load(os.fspath(model), device=device, language=language)
    from speechxfer.predictor import Predictor

    found = getattr(model, "model", model)
    if not isinstance(found, Predictor):
        raise ConfigError(f"model is {model!r:.80}; wanted a SpeechModel, a Run, or the name of a model")
    return found


def opened_model(model: Any, device: str = "auto", language: str | None = None) -> SpeechModel:
    """As `opened_predictor`, but not one that was exported.

    Raises:
        CheckpointError: it cannot be found or read, or lacks the language.
        ConfigError: it was exported, or is no model.
    """
    opened = opened_predictor(model, device, language)
    from speechxfer.model import SpeechModel

    if not isinstance(opened, SpeechModel):
        raise ConfigError(f"{model!s:.80}: is an exported model, of which only predictions can be had; wanted the model it was made from")  # fmt: skip  # noqa: E501
    return opened


def _dataset(data: Data, *, strict: bool) -> Dataset:
    dataset = Dataset.of(data)
    dataset.check_files()
    return dataset.strictly() if strict else dataset


def _normalizer(normalizer: str | TextNormalizer) -> TextNormalizer:
    return TextNormalizer(normalizer) if isinstance(normalizer, str) else normalizer
