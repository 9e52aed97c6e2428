"""Which predictions for recordings without text are good enough to be used in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.unlabeled.scoring import Scored

#: The column of a pseudo-label that names the recording by its place among the unlabeled ones, from 0.
PLACE = "unlabeled_line"
#: Fraction of dev that would be left out.
_LEFT_OUT = 0.2

EMPTY = "without speech"
UNCERTAIN = "with words of low confidence"
UNSTEADY = "that dropout changes too much"


@dataclass(frozen=True)
class Limits:
    """The least confidence and agreement of a prediction that is used in training."""

    confidence: float
    agreement: float

    @classmethod
    def of(cls, dev: Sequence[Scored]) -> Limits:
        """Those that four in five utterances of dev reach.

        So a language or a domain that the model cannot read falls below them, and they need no scale of their own.
        """
        return cls(
            float(np.quantile([one.confidence for one in dev], _LEFT_OUT)),
            float(np.quantile([one.agreement for one in dev], _LEFT_OUT)),
        )

    def fault(self, one: Scored) -> str | None:
        """Why a prediction is not used; None where it is."""
        if not one.prediction:
            return EMPTY
        if one.agreement < self.agreement:
            return UNSTEADY
        return UNCERTAIN if one.confidence < self.confidence else None


@dataclass(frozen=True)
class PseudoLabels:
    """Recordings with predictions in the place of texts or labels, and how many others were left out by reason."""

    kept: Sequence[Utterance]
    left_out: Mapping[str, int]

    @classmethod
    def of(cls, found: Sequence[Scored], places: Iterable[int], limits: Limits, *, classes: bool) -> PseudoLabels:
        """The predictions that can be used.

        Args:
            found: all predictions.
            places: of their recordings in the manifest.
            limits: what they have to reach.
            classes: whether predictions are labels and not texts.
        """
        kept, left_out = [], Counter[str]()
        for place, one in zip(places, found, strict=True):
            if fault := limits.fault(one):
                left_out[fault] += 1
            else:
                kept.append(_labeled(one.utterance, place, one, classes=classes))
        return cls(kept, dict(left_out))


def restored(labels: Manifest, unlabeled: Manifest) -> Manifest:
    """Pseudo-labels that were written down, with the recordings of the manifest that they were made for."""
    return unlabeled.holding(
        replace(unlabeled[int(one.extra[PLACE])], text=one.text, label=one.label, extra=one.extra) for one in labels
    )


def of_people(train: Manifest) -> Manifest:
    """A training manifest without pseudo-labels, which would teach a language model the errors of the teacher."""
    return train.holding(utterance for utterance in train if PLACE not in utterance.extra)


def _labeled(utterance: Utterance, place: int, one: Scored, *, classes: bool) -> Utterance:
    extra = {PLACE: place, "confidence": round(one.confidence, 4), "agreement": round(one.agreement, 4)}
    if classes:
        return replace(utterance, label=one.prediction, text=None, extra=extra)
    return replace(utterance, text=one.prediction, label=None, extra=extra)
