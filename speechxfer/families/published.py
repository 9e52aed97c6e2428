"""Published models and the jobs they suit, with what was counted of each; nothing of it needs torch."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.config.families import FAMILIES

#: What people wrote down, and what `scripts.count_models` counted.
FACTS, SIZES = (Path(__file__).with_name(name) for name in ("models.toml", "model_sizes.json"))


@dataclass(frozen=True)
class Size:
    """What can be counted of a model from its configuration."""

    #: Parameters of the whole model as it is published, and of its encoder alone.
    parameters: int
    encoder_parameters: int
    #: Multiply-accumulate operations of the encoder for a second of audio, in an utterance of 10 s; in billions.
    gmacs_per_second: float
    #: Hidden states of the encoder for a second of audio, their width and the number of layers.
    states_per_second: float
    width: int
    layers: int


@dataclass(frozen=True)
class PublishedModel:
    """One model that opens here by its name."""

    name: str
    #: What it is good for, in a sentence; several models have one job.
    job: str
    #: What else should be known, in a few words; it may be empty.
    note: str
    #: Codes of its languages; or how many they are, where their list is long.
    languages: tuple[str, ...] | int
    license: str
    #: As `config.json` has it, where that differs from the defaults of `transformers`.
    config: Mapping[str, Any]
    #: None where it was not counted yet.
    size: Size | None

    @property
    def family(self) -> str:
        """The family's name in the register."""
        return str(self.config["model_type"])

    @property
    def is_available(self) -> bool:
        """Whether a family that is installed opens it."""
        return self.family in FAMILIES

    @property
    def languages_in_short(self) -> str:
        """The code of its only language, or how many they are."""
        if isinstance(self.languages, int):
            return str(self.languages)
        return self.languages[0] if len(self.languages) == 1 else str(len(self.languages))

    def may_know(self, language: str) -> bool:
        """Whether it was trained on a language, given by its code; true where only their number is known."""
        return isinstance(self.languages, int) or language in self.languages


def published_models() -> list[PublishedModel]:
    """All of them, by job."""
    facts = tomllib.loads(FACTS.read_text(encoding="utf-8"))
    sizes = json.loads(SIZES.read_text(encoding="utf-8"))
    languages = {name: tuple(codes.split()) for name, codes in facts["languages"].items()}
    models = [
        PublishedModel(
            name=row["name"],
            job=facts["jobs"][row["job"]],
            note=row.get("note", ""),
            languages=row["languages"] if isinstance(row["languages"], int) else languages[row["languages"]],
            license=row["license"],
            config=row["config"],
            size=Size(**sizes[row["name"]]) if row["name"] in sizes else None,
        )
        for row in facts["models"]
    ]
    jobs = list(facts["jobs"].values())
    return sorted(models, key=lambda model: jobs.index(model.job))
