"""A language model that takes part in decoding, and stays with its acoustic model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from speechxfer.decoding.lexicon import Weights
from speechxfer.encoders.checkpoints import MODEL_FILE, Checkpoint
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError, DataError
from speechxfer.language_models import LanguageModel, read_arpa, write_arpa
from speechxfer.storage import write_json

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
    def restore(cls, description: Mapping[str, Any], checkpoint: Checkpoint) -> Fusion:
        """The inverse of `describe` and `write`.

        Raises:
            CheckpointError: the file of the language model is missing or damaged.
        """
        try:
            model = LanguageModel.of(read_arpa(checkpoint.file(FILE)))
        except DataError as error:
            raise CheckpointError(str(error)) from error
        return cls(model, Weights(**description["weights"]), description["beams"])

    def describe(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"weights": asdict(self.weights), "beams": self.beams}

    def write(self, folder: Path) -> None:
        """Write the language model into a model's folder."""
        write_arpa(self.model.grams, folder / FILE)

    def add_to(self, folder: Path) -> None:
        """Add the language model to a model that is saved; all else stays as it is, and it is usable at any moment.

        Raises:
            StorageError: it could not be written.
        """
        self.write(folder)
        description = read_json(folder / MODEL_FILE)
        write_json(
            folder / MODEL_FILE, {**description, "head": {**description["head"], "language_model": self.describe()}}
        )
