"""What `check` measures of recordings, computed where rows are."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from speechxfer.data.checks.sound import Excerpt, Sound, measure
from speechxfer.data.utterance import Utterance
from speechxfer.inference import Read
from speechxfer.jobs.parts import Ids, Parts
from speechxfer.jobs.rows import Result, Row
from speechxfer.jobs.running import RowEngine
from speechxfer.jobs.work import Compute


@dataclass(frozen=True)
class Measuring:
    """Measuring sound.

    Attributes:
        quick: read headers only.
    """

    quick: bool

    def versions(self) -> dict[str, str]:
        """That of this package."""
        return {"speechxfer": importlib.metadata.version("speechxfer")}

    def settings(self) -> dict[str, Any]:
        """What is measured."""
        return {"quick": self.quick}

    def open(self, read: Read | None = None) -> Compute:
        """Load nothing; recordings are read where they are measured."""
        return functools.partial(_results, quick=self.quick)


def _results(rows: Iterable[Row], *, quick: bool) -> Iterator[Result]:
    for row in rows:
        yield row.result(**asdict(measure(Excerpt(row.source, row.start, row.duration, row.reading), quick)))


def measured(utterances: Iterable[Utterance], quick: bool, *, engine: RowEngine) -> Iterator[tuple[Utterance, Sound]]:
    """Utterances whose audio has an address, in order, with what was measured of each.

    Raises:
        ConfigError: the engine cannot be had, or workers have another version of this package.
    """
    waiting: deque[Utterance] = deque()

    def rows() -> Iterator[Row]:
        for number, utterance in enumerate(utterances):
            waiting.append(utterance)
            # A line that appears twice is two rows, since both are checked.
            yield Row.of(utterance)._replace(id=str(number))

    work, found, given = Measuring(quick), dict[int, Sound](), 0
    parts = Parts(rows(), Ids())
    for done in engine.results(work, parts, work.versions()):
        sounds = {int(result["id"]): _sound(result) for result in map(json.loads, done.lines.splitlines())}
        lengths = [one.duration_s for one in sounds.values() if one.duration_s]
        parts.learn(len(lengths), sum(lengths))
        found |= sounds
        while given in found:
            yield waiting.popleft(), found.pop(given)
            given += 1


def _sound(result: Result) -> Sound:
    """What a worker measured; of a row over which workers were lost, that it cannot be read."""
    if "error" in result:
        return Sound(faults=[("unreadable", result["error"])])
    faults = [(kind, what) for kind, what in result["faults"]]
    return Sound(result["duration_s"], result["active_s"], result["digest"], faults)
