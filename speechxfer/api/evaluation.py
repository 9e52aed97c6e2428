"""How wrong a model is, and whether another one is better."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError, DataError
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.evaluation.comparison import Comparison
    from speechxfer.evaluation.hypotheses import Hypotheses, Task
    from speechxfer.evaluation.results import Evaluation
    from speechxfer.model import SpeechModel
    from speechxfer.training.finetune import Run

#: A model that is open, a finished run, or a name to open it by.
Model: TypeAlias = "str | os.PathLike[str] | SpeechModel | Run"
#: A side of a comparison: a model, what `evaluate` found, or the file that `write_hypotheses` wrote.
System: TypeAlias = "Model | Evaluation"


def evaluate(
    model: Model,
    data: Data,
    normalizer: str | TextNormalizer = "basic",
    *,
    options: DecodingOptions | None = None,
    strict: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaluation:
    """Transcribe or classify data with a model and compare with its texts or labels.

    `slices`, `keyword_scores` and `word_scores` look closer at what is returned.

    Args:
        model: a `SpeechModel`, a `Run`, or a folder, an installed package or a name on the hub.
        data: the path of a manifest, a `Manifest`, utterances or dictionaries, or a data set of Hugging Face.
        normalizer: applied to both sides before they are compared: "basic", "none", "whisper-english",
            "whisper-basic".
        options: how the model decodes.
        strict: a file that is a little shorter than it should be is an error.
        device: "auto", "cpu", "cuda" or "cuda:N", for a model that is opened here.
        progress: receives what goes on.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: no such normalizer or device, or an option of decoding that the head does not have.
        DataError: an utterance without text or label, a label the model does not know, no word in any text, or
            unreadable audio.
    """
    normalize, dataset = _normalizer(normalizer), _dataset(data, strict=strict)
    opened = opened_model(model, device)
    from speechxfer.evaluation.evaluate import evaluate as measure

    return measure(opened, dataset, normalize, options=options, progress=progress)


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
            `write_hypotheses` (`speechxfer evaluate --hypotheses`) wrote.
        second: another one.
        data: as for `evaluate`.
        normalizer: as for `evaluate`.
        options: how models decode.
        device: for models that are opened here.
        progress: receives what goes on.

    Raises:
        CheckpointError: a model cannot be found or read.
        ConfigError: no such normalizer or device, or an option of decoding that a head does not have.
        DataError: an utterance without text or label, hypotheses of other data, or unreadable audio.
    """
    normalize, dataset = _normalizer(normalizer), Dataset.of(data)
    progress = progress or Progress()
    known = [_written(system, dataset) for system in (first, second)]
    if not all(known):
        dataset.check_files()
    from speechxfer.evaluation.comparison import compare_systems
    from speechxfer.evaluation.metrics import damage

    if warning := damage(dataset.texts, normalize):
        progress.say(warning)
    sides = [
        side or _asked(system, dataset, normalize, options, device, progress)
        for system, side in zip((first, second), known, strict=True)
    ]
    return compare_systems(dataset, sides[0], sides[1], normalize)


def _asked(
    system: Any, dataset: Dataset, normalizer: TextNormalizer, options: DecodingOptions | None, device: str,
    progress: Progress,
) -> Hypotheses:  # fmt: skip
    """What a model writes for data."""
    from speechxfer.evaluation.evaluate import hypothesize

    model = opened_model(system, device)
    name = getattr(system, "folder", system if isinstance(system, str | os.PathLike) else model.source)
    return hypothesize(model, str(name), dataset, normalizer, options=options, progress=progress)


def opened_model(model: Any, device: str = "auto") -> SpeechModel:
    """The model itself, that of a run, or the one of a name.

    Raises:
        CheckpointError: it cannot be found or read.
        ConfigError: it is none of these, or there is no such device.
    """
    if isinstance(model, str | os.PathLike):
        from speechxfer.encoders.checkpoints import find

        find(os.fspath(model))  # before torch, so that a misspelt name is reported at once

        from speechxfer.model import SpeechModel

        return SpeechModel.load(os.fspath(model), device=device)
    from speechxfer.model import SpeechModel

    found = getattr(model, "model", model)
    if not isinstance(found, SpeechModel):
        raise ConfigError(f"model is {model!r:.80}; wanted a SpeechModel, a Run, or the name of a model")
    return found


def _dataset(data: Data, *, strict: bool) -> Dataset:
    dataset = Dataset.of(data)
    dataset.check_files()
    return dataset.strictly() if strict else dataset


def _normalizer(normalizer: str | TextNormalizer) -> TextNormalizer:
    return TextNormalizer(normalizer) if isinstance(normalizer, str) else normalizer


def _written(system: Any, dataset: Dataset) -> Hypotheses | None:
    """What is known of a system already; None for a model, whose name is looked up."""
    from speechxfer.data.rows import SUFFIXES
    from speechxfer.evaluation.hypotheses import read_hypotheses
    from speechxfer.evaluation.results import Evaluation

    if isinstance(system, Evaluation):
        return _answers(system, dataset)
    if not isinstance(system, str | os.PathLike):
        return None
    if Path(system).suffix.lower() in SUFFIXES:
        return read_hypotheses(Path(system), dataset)
    from speechxfer.encoders.checkpoints import find

    find(os.fspath(system))
    return None


def _answers(evaluation: Evaluation, dataset: Dataset) -> Hypotheses:
    """What an evaluation holds of each utterance.

    Raises:
        DataError: it is of other data.
    """
    from speechxfer.evaluation.hypotheses import Hypotheses
    from speechxfer.evaluation.metrics import ErrorRates

    is_text = isinstance(evaluation.scores, ErrorRates)
    results = sorted(evaluation.results, key=lambda result: result.place)
    wanted = [(one.text if is_text else one.label) or "" for one in dataset]
    if [result.reference for result in results] != wanted:
        raise DataError(f"the evaluation is of {len(results)} other utterances than the {len(wanted)} of data; wanted what evaluate returned for the same data")  # fmt: skip  # noqa: E501
    task: Task = "transcription" if is_text else "classification"
    return Hypotheses("evaluation", task, tuple(result.hypothesis for result in results))
