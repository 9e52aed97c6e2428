"""The classes of a manifest: names to numbers and back, how often each occurs, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from speechxfer.data.columns import SEPARATOR, plain_name
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import CheckpointError, DataError

_MOST_SHOWN = 20


class ClassLabels:
    """The classes a head tells apart, in the order of its outputs.

    Args:
        names: all different.
        multi_label: several may hold at once; an utterance's label then reads "a|b", and "" where none does.

    Raises:
        CheckpointError: a name occurs twice.
    """

    def __init__(self, names: Sequence[str], *, multi_label: bool = False) -> None:
        if len(set(names)) != len(names):
            raise CheckpointError(f"classes need different names; found {list(names)!r:.200}")
        self.names = tuple(names)
        self.multi_label = multi_label
        # Labels are read without spaces around them; a published checkpoint may name its classes otherwise.
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
            seen = f"every utterance is labelled {names[0]!r}" if names else "no utterance names a class"
            raise DataError(f"{manifest.path}: {seen}; wanted at least two classes to tell apart")
        return cls(names, multi_label=multi_label)

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int:
        """The output that stands for a class.

        Raises:
            KeyError: there is no such class.
        """
        return self._numbers[name]

    def numbers(self, utterance: Utterance) -> list[int]:
        """The classes of an utterance: one, unless several may hold.

        Raises:
            DataError: it has no label, or one that is not among these.
        """
        names = _names(utterance, self.multi_label)
        if unknown := [name for name in names if name not in self._numbers]:
            raise DataError(self._unknown(utterance, unknown[0], ""))
        return [self._numbers[name] for name in names]

    def check(self, manifest: Manifest) -> None:
        """Look whether every utterance of a manifest has a label that is among these.

        Raises:
            DataError: one has none, or another; with the classes that are known.
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
        """How many utterances of a manifest each class has."""
        found = Counter(name for utterance in manifest for name in _names(utterance, self.multi_label))
        return {name: found[name] for name in self.names}

    def weights(self, manifest: Manifest) -> list[float]:
        """One over the number of utterances of each class, scaled to a mean of one."""
        inverse = [1.0 / max(count, 1) for count in self.counts(manifest).values()]
        return [value * len(inverse) / sum(inverse) for value in inverse]

    def to_dict(self) -> dict[str, Any]:
        """For the model folder; `ClassLabels(**values)` is the same again."""
        return {"names": list(self.names), "multi_label": self.multi_label}

    def _unknown(self, utterance: Utterance, name: str, more: str) -> str:
        known = ", ".join(self.names[:_MOST_SHOWN])
        if len(self) > _MOST_SHOWN:
            known += f", … {len(self)} in all"
        return (
            f"{utterance.origin}: label {name!r} is none of the classes that were trained: {known}{more}; correct it, "
            "add training utterances of it, or leave the line out"
        )


def named(label: str, *, multi_label: bool) -> list[str]:
    """The classes that a label names: itself, or what stands between its bars, each once."""
    if not multi_label:
        return [label]
    return list(dict.fromkeys(name for part in label.split(SEPARATOR) if (name := part.strip())))


def _names(utterance: Utterance, multi_label: bool) -> list[str]:
    if utterance.label is None or (not utterance.label and not multi_label):
        raise DataError(f"{utterance.origin}: has no label; wanted the class of {utterance.audio}")
    return named(utterance.label, multi_label=multi_label)
