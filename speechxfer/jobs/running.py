"""A whole job: rows in, shards out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from speechxfer.errors import DataError
from speechxfer.jobs.output import Done, opened
from speechxfer.jobs.parts import Parts
from speechxfer.jobs.rows import rows_of
from speechxfer.jobs.work import Work, computed


class RowEngine(Protocol):
    """Decides where rows are computed."""

    def results(self, work: Work, parts: Parts, versions: Mapping[str, str]) -> Iterator[Done]:
        """The results of all parts, in any order; parts are asked for as they are needed."""


class Here:
    """Computes in this process."""

    def results(self, work: Work, parts: Parts, versions: Mapping[str, str]) -> Iterator[Done]:
        """As they come; nothing is loaded if there are no rows."""
        first = next(parts, None)
        if first is not None:
            yield from computed((row for part in chain([first], parts) for row in part.rows), work.open())


@dataclass
class Totals:
    """What a job has done so far.

    Attributes:
        rows: that were computed.
        failed: of these, with an error.
        seconds: of sound, without those.
        before: rows that were done before.
        repeated: rows that came a second time in the input.
    """

    rows: int = 0
    failed: int = 0
    seconds: float = 0.0
    before: int = 0
    repeated: int = 0

    def summary(self) -> str:
        """One line."""
        hours = f"{self.seconds / 3600:,.1f} h" if self.seconds >= 360 else f"{self.seconds:.0f} s"
        parts = [f"{self.rows:,} rows with {hours} of audio"]
        parts += [f"{self.failed:,} with an error"] if self.failed else []
        parts += [f"{self.before:,} were done before"] if self.before else []
        parts += [f"{self.repeated:,} came twice"] if self.repeated else []
        return ", ".join(parts)


def run(
    work: Work, names: Sequence[str], folder: Path, format_: str, engine: RowEngine, *,
    strict: bool = False, retry_failed: bool = False,
    refused: Callable[[DataError], None] | None = None,
    progress: Callable[[Totals], None] = lambda _totals: None,
) -> Totals:  # fmt: skip
    """Compute what is missing in a folder of results.

    Args:
        work: what is done with each row.
        names: of manifests, shards and recordings (`rows.rows_of`).
        folder: of the results, new or from before.
        format_: of its shards.
        engine: where it is done.
        strict: a file that is a little shorter than it should be is an error.
        retry_failed: rows that have an error from before are missing, too.
        refused: called with the error of each line that cannot be used; without it, the first is raised.
        progress: called with what is done so far.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: options that do not fit the model, or a folder of another job.
        DataError: a manifest cannot be read.
        StorageError: the folder cannot be written to, or another process writes there.
    """
    versions = work.versions()
    # Another version of this package does the same work.
    settings = {"model": versions["model"], **work.settings()}
    with opened(folder, format_, settings, retry_failed=retry_failed) as output:
        parts = Parts(rows_of(names, strict=strict, refused=refused), output.done)
        totals = Totals()
        for done in engine.results(work, parts, versions):
            output.add(done)
            parts.learn(done.rows - done.failed, done.seconds)
            totals.rows += done.rows
            totals.failed += done.failed
            totals.seconds += done.seconds
            totals.before, totals.repeated = parts.done, parts.repeated
            progress(totals)
    totals.before, totals.repeated = parts.done, parts.repeated
    return totals
