"""The textbook's four cases of transfer: little or much data, from a near or a far domain.

After Karpathy's notes on transfer learning (Stanford CS231n) and Goodfellow, Bengio and Courville (2016, section 15.2),
who give no numbers; the thresholds are below.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from speechxfer.data.manifest import Manifest

#: Of transcribed speech; between the 10 min and 10 h splits of Libri-light (Kahn et al., 2020).
_MUCH_S = 3600.0
#: Utterances of a class.
_MUCH_OF_A_CLASS = 100


@dataclass(frozen=True)
class Amount:
    """The amount of training data."""

    seconds: float
    utterances: int
    #: Utterances of the rarest class; None for transcription.
    of_rarest: int | None = None

    @classmethod
    def of(cls, train: Manifest, *, classes: bool) -> Amount:
        """The amount in a manifest with known durations."""
        counts = Counter(utterance.label for utterance in train)
        return cls(train.duration_s, len(train), min(counts.values()) if classes else None)

    @property
    def is_much(self) -> bool:
        """An hour of speech, or 100 utterances of every class."""
        return self.seconds >= _MUCH_S if self.of_rarest is None else self.of_rarest >= _MUCH_OF_A_CLASS

    def __str__(self) -> str:
        size = f"{self.seconds / 60:.1f} min in {self.utterances} utterances"
        if self.of_rarest is None:
            return f"{size}: {'much' if self.is_much else 'little'} (much from {_MUCH_S / 60:.0f} min on)"
        return f"{size}, {self.of_rarest} of the rarest class: {'much' if self.is_much else 'little'} (much from {_MUCH_OF_A_CLASS} on)"  # fmt: skip  # noqa: E501


@dataclass(frozen=True)
class Case:
    """One of the four cases, and the textbook's advice."""

    number: int
    name: str
    preset: str
    advice: str


_CASES = {
    (False, True): Case(1, "little data, near", "feature-extraction", "freeze the encoder and train only the head, because more would overfit"),  # noqa: E501
    (False, False): Case(2, "little data, far", "lower-layers", "train on top of lower layers, because the upper ones are specific to the old domain"),  # noqa: E501
    (True, True): Case(3, "much data, near", "fine-tune", "fine-tune the whole model, because there is enough data not to overfit"),  # noqa: E501
    (True, False): Case(4, "much data, far", "fine-tune", "fine-tune the whole model, because pre-trained weights are a better start than random ones"),  # noqa: E501
}  # fmt: skip
#: Presets, most promising first, where there is time for many passes over the data, and where there is time for few.
_EXPECTED = ("fine-tune", "fine-tune-top", "lora", "lower-layers", "feature-extraction", "from-scratch")
_EXPECTED_SOON = ("fine-tune-top", "fine-tune", "lower-layers", "lora", "feature-extraction")


def case_of(amount: Amount, *, near: bool) -> Case:
    """The case of this amount of data."""
    return _CASES[amount.is_much, near]


def expected(case: Case, *, soon: bool = False) -> list[str]:
    """All presets, most promising first; trials decide, and the order matters only if there is no time for all.

    Args:
        soon: there is time for few steps, in which what is cheap gets further; from scratch none gets anywhere.
    """
    if soon:
        return list(_EXPECTED_SOON)
    first, *others = _EXPECTED
    return [first, *sorted(others, key=lambda preset: preset != case.preset)]
