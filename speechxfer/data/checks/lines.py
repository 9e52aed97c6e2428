"""What is kept of each line until all lines are read: about forty bytes."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.checks.finding import KINDS, Finding
from speechxfer.data.checks.sound import Sound, digest
from speechxfer.data.manifest import Utterance

#: A kind of finding on more than this fraction and number of the lines becomes one finding.
_COMMON_FRACTION, _COMMON_LINES = 0.05, 20
#: Kinds that are always one finding: repeated sentences are mostly intended, the others concern a whole corpus.
_MERGED = ("duplicate-text", "text-in-both", "stand-in", "normalizer")


class Lines:
    """One split: columns of numbers, and the findings so far.

    Digests are 64 bits, and 0 for a missing value. `symbols` counts characters, -1 without a text; `labels`
    are indices of `label_names`, -1 without a label.
    """

    def __init__(self, file: str, before: Mapping[str, int] | None = None) -> None:
        self.file = file
        #: Of a manifest in several files, the lines before each of them.
        self._before = dict(before or {})
        self._columns: dict[str, array[Any]] = {name: array(code) for name, code in _CODES.items()}
        self.label_names: dict[str, int] = {}
        self.characters: Counter[str] = Counter()
        #: Columns without a meaning for this package.
        self.other_columns: dict[str, None] = {}
        self._faults: dict[str, dict[int, str]] = {}

    def __len__(self) -> int:
        return len(self._columns["line"])

    def column(self, name: str) -> NDArray[Any]:
        """One number for each line, in the order of the manifest."""
        return np.asarray(self._columns[name])

    def add(self, utterance: Utterance, sound: Sound, text: str | None) -> int:
        """Add an utterance with its measurements and its normalized text, and return its line number."""
        number = self.number(utterance.origin)
        unusable = any(KINDS[kind].severity == "error" for kind, _ in sound.faults)
        label = utterance.label
        self.other_columns |= dict.fromkeys(utterance.extra)
        values = {
            "line": number,
            "audio": 0 if unusable else sound.digest,
            # Labeled utterances repeat a few texts.
            "text": digest(text.encode(errors="replace")) if text and label is None else 0,
            "speaker": digest(utterance.speaker.encode(errors="replace")) if utterance.speaker else 0,
            "symbols": -1 if text is None else len(text),
            "active": 0.0 if unusable else sound.active_s,
            "labels": -1 if label is None else self.label_names.setdefault(label, len(self.label_names)),
        }
        for name, value in values.items():
            self._columns[name].append(value)
        return number

    def number(self, origin: str) -> int:
        """The line number in "train.jsonl:12", counted through all files; without one, the count of lines so far."""
        file, _, tail = origin.rpartition(":")
        return self._before.get(file, 0) + int(tail) if tail.isdecimal() else len(self) + 1

    def _place(self, line: int) -> str:
        """Which line of which file that is, to begin a message; empty for a manifest of one file."""
        earlier = [(file, before) for file, before in self._before.items() if before < line]
        return f"{earlier[-1][0]}:{line - earlier[-1][1]}: " if earlier else ""

    def found(self, kind: str, line: int, what: str) -> None:
        """Record a finding about a line; a second one of the same kind is joined to the first."""
        of_kind = self._faults.setdefault(kind, {})
        of_kind[line] = f"{of_kind[line]}; {what}" if line in of_kind else what

    def findings(self) -> list[Finding]:
        """One finding for each line and kind, or one for the split if the kind is common there; in order of lines."""
        made: list[Finding] = []
        for kind, faults in self._faults.items():
            lines = sorted(faults)
            common = len(lines) > max(_COMMON_LINES, _COMMON_FRACTION * len(self))
            if common or (kind in _MERGED and len(lines) > 1):
                count = f"{len(lines)} of {max(len(self), len(lines))} lines"
                made.append(Finding(kind, self.file, tuple(lines), f"{count}, the first: {self._place(lines[0])}{faults[lines[0]]}"))  # fmt: skip  # noqa: E501
            else:
                made += [Finding(kind, self.file, (line,), self._place(line) + faults[line]) for line in lines]
        return sorted(made, key=lambda finding: (finding.lines[0], finding.kind))


_CODES = {"line": "L", "audio": "Q", "text": "Q", "speaker": "Q", "symbols": "i", "active": "f", "labels": "i"}
