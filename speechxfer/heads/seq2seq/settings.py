"""Settings of a checkpoint's own decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from speechxfer.config.values import Fraction, OneOf, Range, Table


@dataclass(frozen=True)
class Seq2SeqConfig(Table, group="seq2seq"):
    """The checkpoint's own decoder as the head; task and timestamps are Whisper's only."""

    #: "transcribe", or "translate" where the texts are English translations.
    task: Annotated[str, OneOf(("transcribe", "translate"))] = "transcribe"
    #: Fraction of the training utterances whose targets contain timestamps, so that the model keeps writing them.
    timestamp_ratio: Fraction = 0.1
    #: Fraction of the target probability that is spread over all tokens.
    label_smoothing: Fraction = 0.1
    #: Silence, noise and chords added to the training set with an empty transcript, as a fraction of the training
    #: utterances, so that the model writes nothing where there is no speech.
    non_speech_ratio: Fraction = 0.05
    #: Beams of the search, in dev and test evaluation too; 1 for greedy search.
    beams: Annotated[int, Range(1, 100)] = 1
