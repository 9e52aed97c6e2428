"""Settings of the CTC head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from speechxfer.config.values import OneOf, Range, Table


@dataclass(frozen=True)
class CTCConfig(Table, group="ctc"):
    """The CTC head."""

    #: Vocabulary of a checkpoint that has a CTC head: "keep" it, "extend" it by the new characters of the training
    #: text, or train a "new" head. Other checkpoints get a new head anyway.
    vocabulary: Annotated[str, OneOf(("keep", "extend", "new"))] = "keep"
    #: What a new head writes: "characters", or "pieces" of words, which need fewer frames; "auto" takes characters if
    #: they fit the frames of 99.5 % of the training utterances, or else pieces.
    units: Annotated[str, OneOf(("auto", "characters", "pieces"))] = "auto"
    #: Number of pieces of a new head, which then has pieces; 0 takes the smallest of 256, 512, 1024 … that fits
    #: the frames of 99.5 % of the training utterances.
    vocabulary_size: Annotated[int, Range(0, 100_000)] = 0
    #: Accept characters in dev and test that the training text lacks; they count as errors.
    ignore_unknown: bool = False
