"""From probabilities to classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.labels import ClassLabels
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification
from speechxfer.decoding.options import DecodingOptions
from speechxfer.heads.reader import HeadTraits, Reader


class ClassificationTraits(HeadTraits):
    """What is known of a classification head without its weights."""

    kind = "classification"
    task = "classification"
    labels: ClassLabels

    def check_measurable(self, manifest: Manifest, normalizer: TextNormalizer | None) -> None:
        """Every utterance needs a label that is known."""
        self.labels.check(manifest)


class ClassificationReader(ClassificationTraits, Reader):
    """Probabilities [batch, classes] with their names.

    Args:
        labels: the classes.
    """

    def __init__(self, labels: ClassLabels) -> None:
        self.labels = labels

    @classmethod
    def restore(cls, description: Mapping[str, Any], file: Callable[[str], Path]) -> Self:
        """The inverse of `describe`."""
        return cls(ClassLabels(**description["labels"]))

    def describe(self) -> dict[str, Any]:
        """The classes."""
        return {"kind": self.kind, "labels": self.labels.to_dict()}

    def read(
        self, outputs: NDArray[np.float32], lengths: Sequence[int], options: DecodingOptions
    ) -> list[Classification]:
        """[batch, classes] -> the probability of each class."""
        several = self.labels.multi_label
        return [Classification(self.labels.names, tuple(row), multi_label=several) for row in outputs.tolist()]
