"""The language model of a run: made before the first step, tuned on dev and saved with the adapted model at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speechxfer.config import FinetuneConfig
from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import ConfigError
from speechxfer.evaluation.comparison import compare_systems
from speechxfer.evaluation.fusion_tuning import Tuned, tune
from speechxfer.evaluation.results import Evaluation
from speechxfer.heads.base import Head
from speechxfer.language_models import LanguageModel, is_arpa, read_arpa, sentences, train
from speechxfer.model import SpeechModel, add_language_model
from speechxfer.progress import Progress
from speechxfer.runs import RunFolder

#: Words of the training text that "auto" learns from: about 100 hours of speech, a minute and 1 GB of memory at most.
_MOST_WORDS = 1_000_000


def language_model_of(config: FinetuneConfig, head: Head, manifest: Manifest) -> LanguageModel | None:
    """The language model that the settings ask for; None where they ask for none, or "auto" can make none.

    Args:
        config: of the run.
        head: whose normalizer writes the text.
        manifest: of the training split, what can be learned from.

    Raises:
        ConfigError: one is named, and the head does not decode with one, or cannot spell its words.
        DataError: the file cannot be read, or there is no word in the texts.
    """
    if config.language_model == "none":
        return None
    try:
        head.lexicon(None)
        found = _made(config.language_model, head, manifest)
        head.lexicon(found)
    except ConfigError as error:
        if config.language_model == "auto":
            return None
        raise ConfigError(f"language_model is {config.language_model!r}, but {error}") from error
    return found


def _made(source: str, head: Head, manifest: Manifest) -> LanguageModel:
    if source == "auto":
        return LanguageModel.of(train(_spread([head.written(text) for text in texts(manifest)])))
    if is_arpa(Path(source)):
        return LanguageModel.of(read_arpa(Path(source)))
    return LanguageModel.of(train(map(head.written, itertools.chain(texts(manifest), sentences(Path(source))))))


def _spread(lines: Sequence[str]) -> Sequence[str]:
    """All sentences, or some at even distances where they have too many words."""
    return lines[:: math.ceil(sum(len(one.split()) for one in lines) / _MOST_WORDS) or 1]


def fuse(
    folder: RunFolder, model: SpeechModel, language_model: LanguageModel, dev: Manifest, normalizer: TextNormalizer,
    progress: Progress,
) -> Tuned:  # fmt: skip
    """Tune the language model on dev, and save it with the run's model where it makes fewer errors.

    Raises:
        DataError: audio that cannot be read.
        StorageError: it could not be written.
    """
    progress.log("language model: its weights are tuned on dev")
    tuned = tune(model, language_model, dev, normalizer, progress=progress)
    if tuned.helps:
        add_language_model(folder.model, tuned.fusion)
    return tuned


def described(tuned: Tuned, greedy: Evaluation | None, fused: Evaluation | None) -> dict[str, Any]:
    """What the run's figures say of the language model.

    Args:
        tuned: on dev.
        greedy: the test split without it, if that was measured.
        fused: with it.
    """
    both = {"dev": (tuned.greedy, tuned.fused)} | ({"test": (greedy, fused)} if greedy and fused else {})
    scores = {
        split: {"greedy": one.scores.summary, "fused": other.scores.summary} for split, (one, other) in both.items()
    }
    return {"kept": tuned.helps, "weights": asdict(tuned.fusion.weights), "scores": scores}


def verdict(tuned: Tuned, greedy: Evaluation | None, fused: Evaluation | None) -> str:
    """What the language model is worth, in a sentence; the arguments are those of `described`."""
    rates = f"WER {tuned.greedy.rates.wer:.3f} without it, {tuned.fused.rates.wer:.3f} with it"
    if not tuned.helps:
        return f"The language model makes no fewer errors on dev ({rates}), so the model decodes greedily without it."
    if greedy is None or fused is None:
        return f"The language model makes fewer errors on dev ({rates}), so the model decodes with it."
    return f"Language model, test split: {compare_systems(('greedy', 'with it'), greedy, fused).verdict()}"
