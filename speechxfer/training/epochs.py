"""How many epochs a run has: as many as are asked for, as fit into a limit of time, or as its data needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from speechxfer.config import FinetuneConfig
from speechxfer.errors import ConfigError
from speechxfer.training.time_limit import EPOCHS

#: Epochs where nothing says otherwise.
USUAL = 20
#: A classifier has seen enough after so many utterances, repetitions counted: with 2,250 spoken digits, wav2vec2-nano
#: is no better on other speakers after 17 more epochs (docs/transfer.md).
_UTTERANCES = 8_000
#: But each of them so often.
_LEAST = 3


def settled(config: FinetuneConfig, utterances: Callable[[], int]) -> FinetuneConfig:
    """The settings with the number of epochs that the run has.

    Args:
        utterances: counts those of the training set; only called where the number depends on it.

    Raises:
        ConfigError: a second training is asked for within a limit of time.
    """
    if not config.training.time:
        return unlimited(config, utterances)
    if config.compare_scratch:
        raise ConfigError("training.time limits one training, and compare_scratch adds another; give one of them")
    return replace(config, training=replace(config.training, epochs=EPOCHS, steps_per_epoch=0))


def unlimited(config: FinetuneConfig, utterances: Callable[[], int]) -> FinetuneConfig:
    """As `settled`, for a run without a limit of time."""
    training = config.training
    if training.epochs:
        return config
    epochs = USUAL
    if config.head_type.is_classifier and not training.steps_per_epoch:
        seen = utterances() * (1 + training.speed_copies)
        epochs = min(USUAL, max(_LEAST, round(_UTTERANCES / max(seen, 1))))
    return replace(config, training=replace(training, epochs=epochs))
