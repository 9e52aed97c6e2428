"""A language model that takes part in decoding, and stays with its acoustic model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from speechxfer.decoding.lexicon import Weights
from speechxfer.errors import CheckpointError, DataError
from speechxfer.language_models import LanguageModel, read_arpa, write_arpa

#: In a model's folder.
FILE = "language_model.arpa"


@dataclass(frozen=True, eq=False)
class Fusion:
    """How a language model takes part in decoding.

    Attributes:
        model: probabilities of words as the head's normalizer writes them.
        weights: how it counts beside the acoustic model.
        beams: texts that are followed at once, unless a call says otherwise.
    """

    model: LanguageModel
    weights: Weights = field(default_factory=Weights)
    beams: int = 50

    @classmethod
    def restore(cls, description: Mapping[str, Any], file: Callable[[str], Path]) -> Fusion:
        """The inverse of `describe` and `write`, given where a file of the model's folder is.

        Raises:
            CheckpointError: the file of the language model is missing or damaged.
        """
        try:
            model = LanguageModel.of(read_arpa(file(FILE)))
        except DataError as error:
            raise CheckpointError(str(error)) from error
        return cls(model, Weights(**description["weights"]), description["beams"])

    def describe(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"weights": asdict(self.weights), "beams": self.beams}

    def write(self, folder: Path) -> None:
        """Write the language model into a model's folder."""
        write_arpa(self.model.grams, folder / FILE)
