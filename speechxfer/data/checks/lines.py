"""What is remembered of each line until all have been seen: some forty bytes, whatever the line holds."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.checks.finding import KINDS, Finding
from speechxfer.data.checks.sound import Sound, digest
from speechxfer.data.manifest import Utterance

#: What more than this share of the lines have, and more than so many, is how the corpus is: it is said once.
_COMMON_SHARE, _COMMON_LINES = 0.05, 20
#: These are said once in any case: sentences that come again are mostly meant to, the others concern a whole corpus.
_TOGETHER = ("duplicate-text", "text-in-both", "stand-in", "normalizer")


class Lines:
    """One split: columns of numbers, and what was found so far.

    Digests are 64 bits and 0 where there is nothing. `symbols` counts characters, -1 without a text; `labels`
    numbers the names in `label_names`, -1 without a label.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._columns: dict[str, array[Any]] = {name: array(code) for name, code in _CODES.items()}
        self.label_names: dict[str, int] = {}
        self.characters: Counter[str] = Counter()
        #: Columns without a meaning here.
        self.other_columns: dict[str, None] = {}
        self._faults: dict[str, dict[int, str]] = {}

    def __len__(self) -> int:
        return len(self._columns["line"])

    def column(self, name: str) -> NDArray[Any]:
        """One number a line, in the order of the manifest."""
        return np.asarray(self._columns[name])

    def add(self, utterance: Utterance, sound: Sound, text: str | None) -> int:
        """Remember an utterance with its sound and its normalised text; its line is returned."""
        number = self.number(utterance.origin)
        unusable = any(KINDS[kind].severity == "error" for kind, _ in sound.faults)
        label = utterance.label
        self.other_columns |= dict.fromkeys(utterance.extra)
        values = {
            "line": number,
            "audio": 0 if unusable else sound.digest,
            # The text of a labelled utterance is one of a few, and comes again and again.
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
        """The line in "train.jsonl:12"; how many there have been where the origin names none."""
        tail = origin.rpartition(":")[2]
        return int(tail) if tail.isdecimal() else len(self) + 1

    def found(self, kind: str, line: int, what: str) -> None:
        """Something about a line; a second thing of the same kind is joined to the first."""
        of_kind = self._faults.setdefault(kind, {})
        of_kind[line] = f"{of_kind[line]}; {what}" if line in of_kind else what

    def findings(self) -> list[Finding]:
        """One for each line and kind, or for the whole split where a kind is common there; in order of lines."""
        made: list[Finding] = []
        for kind, faults in self._faults.items():
            lines = sorted(faults)
            common = len(lines) > max(_COMMON_LINES, _COMMON_SHARE * len(self))
            if common or (kind in _TOGETHER and len(lines) > 1):
                share = f"{len(lines)} of {max(len(self), len(lines))} lines"
                made.append(Finding(kind, self.file, tuple(lines), f"{share}, the first: {faults[lines[0]]}"))
            else:
                made += [Finding(kind, self.file, (line,), faults[line]) for line in lines]
        return sorted(made, key=lambda finding: (finding.lines[0], finding.kind))


_CODES = {"line": "L", "audio": "Q", "text": "Q", "speaker": "Q", "symbols": "i", "active": "f", "labels": "i"}
