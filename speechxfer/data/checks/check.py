"""The doctor's round: every line once, in order, with the decoding spread over the cores."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechxfer.data import rows
from speechxfer.data.checks import corpus
from speechxfer.data.checks.examiner import Examiner, Limits
from speechxfer.data.checks.finding import KINDS, Finding
from speechxfer.data.checks.lines import Lines
from speechxfer.data.checks.sound import Excerpt, Sound, measure
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest, Utterance, stream
from speechxfer.errors import DataError
from speechxfer.progress import Progress

#: Lines a worker is sent at once, and such portions in flight for each worker: what bounds the memory.
_PORTION, _PORTIONS_AHEAD = 32, 4
#: Findings of a kind that are said one by one before a run.
_MOST_SAID = 5


@dataclass(frozen=True)
class Split:
    """A manifest to look at: its name in messages, how many lines to expect, and how to go through it once."""

    file: str
    size: int
    read: Callable[[Callable[[DataError], None]], Iterator[Utterance]]

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Split:
        """A manifest that is never held as a whole.

        Raises:
            ConfigError: the suffix is no manifest's.
            DataError: there is no such file, or nothing in it.
        """
        path = Path(path)
        refused: list[DataError] = []
        if next(rows.read(path, refused=refused.append), None) is None and not refused:
            raise DataError(f"{path}: holds no utterances; wanted at least one line with an audio file")
        with path.open("rb") as file:
            size = sum(block.count(b"\n") for block in iter(functools.partial(file.read, 1 << 20), b""))
        return cls(str(path), max(size, 1), functools.partial(stream, path))

    @classmethod
    def of(cls, data: Data, name: str) -> Split:
        """Data in any form; that of a path is never held as a whole.

        Raises:
            ConfigError: it is of another type, or the suffix is no manifest's.
            DataError: there is nothing in it.
        """
        return cls.from_file(data) if isinstance(data, str | os.PathLike) else cls.from_manifest(Dataset.of(data, name))

    @classmethod
    def from_manifest(cls, manifest: Manifest, name: str = "manifest") -> Split:
        """One that is in memory already."""
        return cls(str(manifest.path or name), len(manifest), lambda _refused: iter(manifest))


@dataclass(frozen=True)
class Report:
    """All findings in the order of splits and lines, and how many lines were looked at."""

    findings: list[Finding]
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """Those that stop training or spoil its figures."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def summary(self) -> str:
        """One line."""
        counts = Counter(finding.severity for finding in self.findings)
        told = [f"{counts[name]} {name}{'s' * (counts[name] != 1)}" for name in ("error", "warning", "note")]
        return f"{sum(self.lines.values())} lines of {len(self.lines)} manifests: {', '.join(told)}"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"lines": self.lines, "findings": [finding.to_dict() for finding in self.findings]}


def check(
    splits: Sequence[Split],
    limits: Limits | None = None,
    *,
    quick: bool = False,
    strict: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Look for everything in manifests that would waste a run or make its figures worthless.

    Args:
        splits: the training manifest first: characters, labels and speech rates of the others are compared with it.
        limits: what is ordinary.
        quick: read headers and texts only. Sound is not decoded, and the same sound is known by its file alone.
        strict: files that are a little shorter than they should be are errors, not warnings.
        workers: processes that decode, or threads that read headers; as many as there are cores by default.
        progress: hears how far it is.

    Raises:
        DataError: a manifest cannot be read, or is no manifest beyond some line.
    """
    limits, progress = limits or Limits(), progress or Progress()
    workers = workers or len(os.sched_getaffinity(0))
    examined: list[Examiner] = []
    with (
        progress.task("headers" if quick else "listening", sum(split.size for split in splits)) as advance,
        _pool(quick, workers) as pool,
    ):
        for split in splits:
            examiner = Examiner(split.file, limits, examined[0].lines.characters if examined else None)
            utterances = split.read(examiner.refused)
            if strict:
                utterances = (dataclasses.replace(utterance, strict=True) for utterance in utterances)
            for utterance, sound in _measured(pool, utterances, workers * _PORTIONS_AHEAD, quick=quick):
                examiner.add(utterance, sound)
                advance(1)
            examined.append(examiner)
    lines = [examiner.lines for examiner in examined]
    whole = _together(lines, quick=quick) + [finding for examiner in examined for finding in examiner.finish()]
    found = [finding for one in lines for finding in (*one.findings(), *(f for f in whole if f.file == one.file))]
    return Report(found, {one.file: len(one) for one in lines})


def log_problems(
    manifests: dict[str, Manifest], limits: Limits | None = None, progress: Progress | None = None
) -> Report:
    """The quick form, reported: errors and what concerns the run's settings, each as far as it is few, and a summary.

    Args:
        manifests: by name of the split; "train" is the one that others are compared with, or the first.
        limits: as for `check`.
        progress: what it is reported to.
    """
    progress = progress or Progress()
    ordered = sorted(manifests.items(), key=lambda item: item[0] != "train")
    report = check([Split.from_manifest(one, name) for name, one in ordered], limits, quick=True, progress=progress)
    said = [finding for finding in report.findings if finding.severity == "error" or KINDS[finding.kind].before_run]
    for line in shortened(said, _MOST_SAID):
        progress.log(line)
    progress.log(f"checks: {report.summary}; `speechxfer check` listens to the audio too and says all")
    return report


def shortened(findings: Iterable[Finding], most: int) -> Iterator[str]:
    """Findings as lines, at most so many of a kind and file, and how many more there are."""
    for (kind, file), group in itertools.groupby(
        sorted(findings, key=lambda one: (one.file, one.kind)), key=lambda one: (one.kind, one.file)
    ):
        found = list(group)
        yield from map(str, found[:most])
        if len(found) > most:
            yield f"{file}: … and {len(found) - most} more [{kind}]"


def _together(splits: Sequence[Lines], *, quick: bool) -> list[Finding]:
    """What is about lines together: told to the splits, but for what is about a split as a whole."""
    whole = corpus.texts_and_labels(splits)
    for split in splits:
        corpus.duplicates(split)
    for first, second in itertools.combinations(splits, 2):
        whole += corpus.in_both(first, second)
    if not quick:
        corpus.speech_rates(splits)
    return whole


# Spreading the work


@contextlib.contextmanager
def _pool(quick: bool, workers: int) -> Iterator[Executor]:
    """Threads for headers, which take less time than sending them elsewhere; processes for sound."""
    if quick or workers == 1:
        made: Executor = ThreadPoolExecutor(workers)
    else:  # forking would copy the locks of whatever threads there are, that of a progress bar for one
        made = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield made
    finally:
        made.shutdown(cancel_futures=True)


def _measured(
    pool: Executor, utterances: Iterable[Utterance], ahead: int, *, quick: bool
) -> Iterator[tuple[Utterance, Sound]]:
    """Utterances with their sound in the order they came, only so many portions ahead of who asks for them."""
    waiting: deque[tuple[list[Utterance], Future[list[Sound]]]] = deque()
    portions = _portions(utterances)
    while True:
        for portion in itertools.islice(portions, ahead - len(waiting)):
            excerpts = [Excerpt(one.source, one.start, one.duration, one.reading) for one in portion]
            waiting.append((portion, pool.submit(_measure, excerpts, quick)))
        if not waiting:
            return
        portion, future = waiting.popleft()
        yield from zip(portion, future.result(), strict=True)


def _portions(utterances: Iterable[Utterance]) -> Iterator[list[Utterance]]:
    utterances = iter(utterances)
    while portion := list(itertools.islice(utterances, _PORTION)):
        yield portion


def _measure(excerpts: list[Excerpt], quick: bool) -> list[Sound]:
    return [measure(excerpt, quick) for excerpt in excerpts]
