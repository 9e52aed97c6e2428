"""Language models of words: trained on text, and tuned to decode together with a CTC model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speechxfer.api.evaluation import Model, opened_predictor
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.text import TextNormalizer
from speechxfer.extras import explained
from speechxfer.language_models import LanguageModel, read_arpa, sentences, train, write_arpa
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.evaluation.fusion_tuning import Tuned


@explained()
def train_language_model(
    texts: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    order: int = 3,
    prune: Sequence[int] = (),
    normalizer: str | TextNormalizer = "basic",
    output: str | os.PathLike[str] | None = None,
) -> LanguageModel:
    """Train an n-gram model of words (modified Kneser-Ney).

    Args:
        texts: manifests, whose transcripts are used, or text files with a sentence a line; one path or several.
        order: words of the longest n-gram, 1 to 6.
        prune: n-grams of each order that occur at most so often are left out, such as (0, 0, 1).
        normalizer: how texts are written first; that of the CTC model which the language model is for.
        output: where it is written as an ARPA file, gzipped where the name ends with .gz.

    Raises:
        ConfigError: no such normalizer, or an order or numbers that make no model.
        DataError: a file cannot be read, or there is no word in the texts.
        StorageError: it could not be written.
    """
    write = TextNormalizer(normalizer) if isinstance(normalizer, str) else normalizer
    paths = [texts] if isinstance(texts, str | os.PathLike) else list(texts)
    grams = train((write(sentence) for path in paths for sentence in sentences(Path(path))), order, prune)
    if output is not None:
        write_arpa(grams, Path(output))
    return LanguageModel.of(grams)


@explained()
def tune_language_model(
    model: Model,
    language_model: LanguageModel | str | os.PathLike[str],
    dev: Data,
    normalizer: str | TextNormalizer = "basic",
    *,
    beams: int = 50,
    output: str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Tuned:
    """Find how a language model should count beside a CTC model, and save the model with it.

    Args:
        model: an opened model, trained or exported, a `Run`, or a folder, an installed package or a name on the hub.
        language_model: what `train_language_model` returned, or an ARPA file.
        dev: decides; data as for `evaluate`.
        normalizer: applied to both sides before errors are counted.
        beams: texts that are followed at once.
        output: folder for the model with its language model; without one, it is only measured.
        device: for a model that is opened here.
        progress: receives what goes on.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: the model has no CTC head, or writes no spaces.
        DataError: the ARPA file is damaged, an utterance without text, or unreadable audio.
        StorageError: it could not be written.
    """
    dataset = Dataset.of(dev)
    dataset.check_files()
    words = language_model if isinstance(language_model, LanguageModel) else LanguageModel.of(read_arpa(Path(language_model)))  # fmt: skip  # noqa: E501
    opened = opened_predictor(model, device)
    from speechxfer.evaluation.fusion_tuning import tune

    counted = TextNormalizer(normalizer) if isinstance(normalizer, str) else normalizer
    found = tune(opened, words, dataset, counted, beams=beams, progress=progress)
    if output is not None:
        opened.traits.fuse(found.fusion)
        opened.save(Path(output))
    return found
