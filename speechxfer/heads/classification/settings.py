"""Settings of the classification head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from speechxfer.config.values import Fraction, OneOf, Table


@dataclass(frozen=True)
class ClassificationConfig(Table, group="classification"):
    """The classification head."""

    #: How the frames of an utterance become one vector: "mean", "mean-deviation" (mean and standard deviation) or
    #: "attentive".
    pooling: Annotated[str, OneOf(("mean", "mean-deviation", "attentive"))] = "mean"
    #: Weight the loss of each class by the inverse of its frequency.
    class_weights: bool = False
    #: Fraction of the target probability that is spread over all classes.
    label_smoothing: Fraction = 0.0
    #: An utterance may have several classes; its label names them as "a|b".
    multi_label: bool = False
