"""The register of heads, and the groups of settings that heads bring.

It is below the heads themselves, which take seconds to import: settings are read and checked without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from speechxfer.config.values import Table
from speechxfer.registry import Register, resolve

Task = Literal["transcription", "classification"]


@dataclass(frozen=True)
class HeadType:
    """What is known of a head before it is imported.

    Attributes:
        implementation: "module:Class", of a subclass of `speechxfer.heads.base.Head`.
        summary: what it is, for help texts and pages, as in "a CTC head over characters".
        task: what its predictions are: transcripts, or classes of whole utterances.
        settings: its own group of settings, if it has one.
        ignores: the general settings that have no effect with it, by their full names.
        comes_with_checkpoint: it is the decoder that a checkpoint has of its own, so a new one is never made; which
            class it is says its family (`Family.decoder`), and `implementation` is what they have in common.
        reader: "module:Class", of a subclass of `speechxfer.heads.reader.Reader`, which reads the outputs of exported
            models; empty where computing and reading are one, token by token.
        limits: what a reader of a model card should know of models with this head, a sentence each.
    """

    implementation: str
    summary: str
    task: Task = "transcription"
    settings: type[Table] | None = None
    ignores: tuple[str, ...] = ()
    comes_with_checkpoint: bool = False
    reader: str = ""
    limits: tuple[str, ...] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether it predicts classes rather than text."""
        return self.task == "classification"

    def load(self) -> Any:
        """The class; importing it takes seconds."""
        return resolve(self.implementation)

    def load_reader(self) -> Any:
        """The class of its reader."""
        return resolve(self.reader)


HEADS = Register(
    "head",
    HeadType,
    group="speechxfer.heads",
    builtin={
        "ctc": "speechxfer.heads.ctc:CTC",
        "classification": "speechxfer.heads.classification:CLASSIFICATION",
        "seq2seq": "speechxfer.heads.seq2seq:SEQ2SEQ",
    },
)


def head_groups() -> Mapping[str, type[Table]]:
    """The groups of settings of all heads there are, by name."""
    return {entry.settings.group: entry.settings for entry in HEADS.values() if entry.settings is not None}
