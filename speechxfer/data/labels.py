"""The classes of a manifest: indices of names, counts, and checks of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from speechxfer.data.columns import SEPARATOR, plain_name
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import CheckpointError, DataError

_MOST_SHOWN = 20


class ClassLabels:
    """The classes of a head, in the order of its outputs.

    Args:
        names: all different.
        multi_label: an utterance may have several classes, as in the label "a|b", or none ("").

    Raises:
        CheckpointError: a name occurs twice.
    """

    def __init__(self, names: Sequence[str], *, multi_label: bool = False) -> None:
        if len(set(names)) != len(names):
            raise CheckpointError(f"classes need distinct names; found {list(names)!r:.200}")
        self.names = tuple(names)
        self.multi_label = multi_label
        # Labels are stripped when they are read, but class names of a published checkpoint may have spaces.
        self._numbers = {plain_name(name): number for number, name in reversed(list(enumerate(self.names)))}
        self._numbers |= {name: number for number, name in enumerate(self.names)}

    @classmethod
    def from_manifest(cls, manifest: Manifest, *, multi_label: bool = False) -> ClassLabels:
        """All labels of the training manifest, sorted.

        Raises:
            DataError: an utterance without a label, or fewer than two classes.
        """
        names = sorted({name for utterance in manifest for name in _names(utterance, multi_label)})
        if len(names) < 2:
            seen = f"every utterance is labeled {names[0]!r}" if names else "no utterance names a class"
            raise DataError(f"{manifest.path}: {seen}; wanted at least two classes")
        return cls(names, multi_label=multi_label)

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int:
        """The index of a class.

        Raises:
            KeyError: an unknown class.
        """
        return self._numbers[name]

    def numbers(self, utterance: Utterance) -> list[int]:
        """Indices of the classes of an utterance: one, unless the labels are multi-label.

        Raises:
            DataError: a missing or unknown label.
        """
        names = _names(utterance, self.multi_label)
        if unknown := [name for name in names if name not in self._numbers]:
            raise DataError(self._unknown(utterance, unknown[0], ""))
        return [self._numbers[name] for name in names]

    def check(self, manifest: Manifest) -> None:
        """Check that every utterance of a manifest has a known label.

        Raises:
            DataError: a missing or unknown label; lists the known classes.
        """
        wrong = [
            (utterance, name)
            for utterance in manifest
            for name in _names(utterance, self.multi_label)
            if name not in self._numbers
        ]
        if wrong:
            raise DataError(self._unknown(*wrong[0], f" ({len(wrong)} of {len(manifest)} utterances have such labels)"))

    def counts(self, manifest: Manifest) -> dict[str, int]:
        """Number of utterances of each class in a manifest."""
        found = Counter(name for utterance in manifest for name in _names(utterance, self.multi_label))
        return {name: found[name] for name in self.names}

    def weights(self, manifest: Manifest) -> list[float]:
        """Inverse frequency of each class in a manifest, scaled to a mean of one."""
        inverse = [1.0 / max(count, 1) for count in self.counts(manifest).values()]
        return [value * len(inverse) / sum(inverse) for value in inverse]

    def to_dict(self) -> dict[str, Any]:
        """For the model folder; `ClassLabels(**values)` restores it."""
        return {"names": list(self.names), "multi_label": self.multi_label}

    def _unknown(self, utterance: Utterance, name: str, more: str) -> str:
        known = ", ".join(self.names[:_MOST_SHOWN])
        if len(self) > _MOST_SHOWN:
            known += f", … {len(self)} in all"
        return (
            f"{utterance.origin}: label {name!r} is not one of the trained classes: {known}{more}; correct it, "
            "add training utterances of it, or remove the line"
        )


def named(label: str, *, multi_label: bool) -> list[str]:
    """The classes that a label names: the label itself, or its distinct parts between bars if it is multi-label."""
    if not multi_label:
        return [label]
    return list(dict.fromkeys(name for part in label.split(SEPARATOR) if (name := part.strip())))


def _names(utterance: Utterance, multi_label: bool) -> list[str]:
    if utterance.label is None or (not utterance.label and not multi_label):
        raise DataError(f"{utterance.origin}: has no label; wanted the class of {utterance.audio}")
    return named(utterance.label, multi_label=multi_label)
