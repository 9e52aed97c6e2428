"""Settings of the CTC head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from speechxfer.config.values import OneOf, Table


@dataclass(frozen=True)
class CTCConfig(Table, group="ctc"):
    """The CTC head."""

    #: Vocabulary of a checkpoint that has a CTC head: "keep" it, "extend" it by the new characters of the training
    #: text, or train a "new" head. Other checkpoints get a new head anyway.
    vocabulary: Annotated[str, OneOf(("keep", "extend", "new"))] = "keep"
    #: Accept characters in dev and test that the training text lacks; they count as errors.
    ignore_unknown: bool = False
