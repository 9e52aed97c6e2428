"""The register of maskings, which hide parts of hidden states or spectrograms in training, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from speechxfer.config.values import Table
from speechxfer.registry import Register, resolve


@dataclass(frozen=True)
class MaskingType:
    """What is known of a masking before it is imported."""

    #: "module:function" that draws the masks of a batch, called as `speechxfer.data.augment.spans`.
    draw: str
    #: Its own group of settings inside `augment`, if it has one.
    settings: type[Table] | None = None

    def load(self) -> Any:
        """The function."""
        return resolve(self.draw)


MASKINGS = Register(
    "masking",
    MaskingType,
    group="speechxfer.maskings",
    builtin={"spans": MaskingType("speechxfer.data.augment:spans")},
)


def masking_groups() -> Mapping[str, type[Table]]:
    """The groups of settings of all maskings there are, by name."""
    return {entry.settings.group: entry.settings for entry in MASKINGS.values() if entry.settings is not None}
