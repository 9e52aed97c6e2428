"""Rows are dealt out in parts of some minutes of sound, each row once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from speechxfer.engine import Item
from speechxfer.jobs.rows import Row

#: A part is as long as is lost with a worker at most.
_PART_S = 600.0
_PART_ROWS = 200
#: Seconds of a row whose length is not known, until some are.
_UNKNOWN_S = 30.0


@dataclass(frozen=True)
class Part(Generic[Item]):
    """Rows that are computed together; `attempts` counts the workers that were lost over them."""

    rows: Sequence[Item]
    attempts: int = 0

    def halves(self) -> list[Part[Item]]:
        """The same rows, lost once more, so that the row to blame is found; a single row stays as it is."""
        middle = (len(self.rows) + 1) // 2
        return [Part(rows, self.attempts + 1) for rows in (self.rows[:middle], self.rows[middle:]) if rows]


class Ids:
    """Which ids were seen, in about eight bytes of each.

    Numbers of 64 bits stand for them: among a hundred million ids, two have the same number with a chance of 0.03 %.
    """

    #: As many are kept as objects before they are packed.
    _LOOSE = 1 << 16

    def __init__(self) -> None:
        self._loose: set[int] = set()
        self._packed: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._loose) + sum(map(len, self._packed))

    def __contains__(self, name: str) -> bool:
        return self._holds(_number(name))

    def add(self, name: str) -> bool:
        """Note an id; returns whether it is new."""
        number = _number(name)
        if self._holds(number):
            return False
        self._loose.add(number)
        if len(self._loose) == self._LOOSE:
            self._pack()
        return True

    def _holds(self, number: int) -> bool:
        return number in self._loose or any(_holds(numbers, number) for numbers in self._packed)

    def _pack(self) -> None:
        """Sorted arrays, each larger than all after it, so that there are few of them."""
        packed = np.array(sorted(self._loose), np.uint64)
        self._loose.clear()
        while self._packed and len(self._packed[-1]) <= len(packed):
            packed = np.sort(np.concatenate([self._packed.pop(), packed]))
        self._packed.append(packed)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def _holds(numbers: np.ndarray, number: int) -> bool:
    place = int(np.searchsorted(numbers, np.uint64(number)))
    return place < len(numbers) and int(numbers[place]) == number


class Parts(Iterator[Part[Row]]):
    """The parts of the rows that are not done yet, as they are asked for.

    Attributes:
        done: rows that were done before.
        repeated: rows that came before in the same input.
    """

    def __init__(self, rows: Iterable[Row], done: Ids) -> None:
        self.done = self.repeated = 0
        self._rows, self._before, self._seen = iter(rows), done, Ids()
        self._computed, self._computed_s = 0, 0.0

    def learn(self, rows: int, seconds: float) -> None:
        """Note the length of rows that are computed: a row whose length is not known counts as their mean."""
        self._computed += rows
        self._computed_s += seconds

    def __next__(self) -> Part[Row]:
        found: list[Row] = []
        seconds = 0.0
        usual_s = self._computed_s / self._computed if self._computed else _UNKNOWN_S
        for row in self._rows:
            if self._is_new(row):
                found.append(row)
                seconds += usual_s if row.duration is None else row.duration
                if seconds >= _PART_S or len(found) == _PART_ROWS:
                    break
        if not found:
            raise StopIteration
        return Part(found)

    def _is_new(self, row: Row) -> bool:
        if not self._seen.add(row.id):
            self.repeated += 1
            return False
        self.done += row.id in self._before
        return row.id not in self._before
