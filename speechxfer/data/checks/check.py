"""Run all checks: one pass over the lines, with decoding in parallel."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from speechxfer.data import rows
from speechxfer.data.checks import corpus
from speechxfer.data.checks.examiner import Examiner, Limits
from speechxfer.data.checks.finding import KINDS, Finding
from speechxfer.data.checks.lines import Lines
from speechxfer.data.checks.sound import Excerpt, Sound, measure
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest, Utterance, stream
from speechxfer.data.shards import shards
from speechxfer.errors import DataError
from speechxfer.progress import Progress
from speechxfer.stores import spelled

Measured: TypeAlias = Callable[[Iterable[Utterance], bool], Iterator[tuple[Utterance, Sound]]]
"""Utterances in order, with what was measured of each; of headers only, where the second argument is true."""

#: Lines that a worker gets at once, and such chunks in flight for each worker, which bounds the memory.
_CHUNK, _CHUNKS_AHEAD = 32, 4
#: Most findings of a kind that are logged one by one before a run.
_MOST_LOGGED = 5


@dataclass(frozen=True)
class Split:
    """A manifest to check: its name in messages, its approximate number of lines, and how to read it.

    `before` has the number of lines before each file of a manifest in several.
    """

    file: str
    size: int
    read: Callable[[Callable[[DataError], None]], Iterator[Utterance]]
    before: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Split:
        """A manifest file, which is streamed and never in memory as a whole.

        Raises:
            ConfigError: the suffix is not that of a manifest.
            DataError: the file is missing or empty.
        """
        path = Path(path)
        refused: list[DataError] = []
        if next(stream(path, refused.append), None) is None and not refused:
            raise DataError(f"{path}: holds no utterances; wanted at least one line with an audio file")
        files = [spelled(shard.path) for shard in shards(path)]
        sizes = [rows.count(Path(file)) + 1 for file in files]  # a last line may have no end
        before = dict(zip(files, itertools.accumulate(sizes, initial=0), strict=False)) if files != [str(path)] else {}
        return cls(spelled(path), max(sum(sizes) - len(sizes), 1), functools.partial(stream, path), before)

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
        """A manifest in memory."""
        return cls(str(manifest.path or name), len(manifest), lambda _refused: iter(manifest))


@dataclass(frozen=True)
class Report:
    """All findings in the order of splits and lines, and the number of lines checked in each split."""

    findings: list[Finding]
    lines: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """Findings that stop training or invalidate scores."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def summary(self) -> str:
        """A summary of one line."""
        counts = Counter(finding.severity for finding in self.findings)
        by_severity = [f"{counts[name]} {name}{'s' * (counts[name] != 1)}" for name in ("error", "warning", "note")]
        return f"{sum(self.lines.values())} lines of {len(self.lines)} manifests: {', '.join(by_severity)}"

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
    measured: Measured | None = None,
    progress: Progress | None = None,
) -> Report:
    """Find everything in manifests that would break a run or invalidate its scores.

    Args:
        splits: the training manifest first, because the others are compared with it.
        limits: what counts as normal.
        quick: read headers and texts only. Audio is not decoded, and duplicates are recognized by file only.
        strict: files slightly shorter than their header says are errors, not warnings.
        workers: processes that decode, or threads that read headers; by default the number of cores.
        measured: measures sound in their place.
        progress: reports the progress.

    Raises:
        DataError: a manifest cannot be read, or is malformed from some line on.
    """
    limits, progress = limits or Limits(), progress or Progress()
    examined: list[Examiner] = []
    with (
        progress.task("headers" if quick else "checking audio", sum(split.size for split in splits)) as advance,
        _here(quick, workers) if measured is None else contextlib.nullcontext(measured) as sounds,
    ):
        for split in splits:
            examiner = Examiner(split.file, limits, examined[0].lines.characters if examined else None, split.before)
            utterances = split.read(examiner.refused)
            if strict:
                utterances = (dataclasses.replace(utterance, strict=True) for utterance in utterances)
            for utterance, sound in sounds(utterances, quick):
                examiner.add(utterance, sound)
                advance(1)
            examined.append(examiner)
    lines = [examiner.lines for examiner in examined]
    whole = _compare(lines, quick=quick) + [finding for examiner in examined for finding in examiner.finish()]
    found = [finding for one in lines for finding in (*one.findings(), *(f for f in whole if f.file == one.file))]
    return Report(found, {one.file: len(one) for one in lines})


def log_problems(
    manifests: dict[str, Manifest], limits: Limits | None = None, progress: Progress | None = None
) -> Report:
    """The quick checks before a run: log errors, findings about the run's settings, and a summary.

    Args:
        manifests: by name of the split; the others are compared with "train", or with the first.
        limits: as for `check`.
        progress: receives the messages.
    """
    progress = progress or Progress()
    ordered = sorted(manifests.items(), key=lambda item: item[0] != "train")
    report = check([Split.from_manifest(one, name) for name, one in ordered], limits, quick=True, progress=progress)
    chosen = [finding for finding in report.findings if finding.severity == "error" or KINDS[finding.kind].before_run]
    for line in shortened(chosen, _MOST_LOGGED):
        progress.log(line)
    progress.log(f"checks: {report.summary}; `speechxfer check` checks the audio too and lists everything")
    return report


def shortened(findings: Iterable[Finding], most: int) -> Iterator[str]:
    """Findings as lines of text, at most `most` of each kind and file, and the number of the others."""
    for (kind, file), group in itertools.groupby(
        sorted(findings, key=lambda one: (one.file, one.kind)), key=lambda one: (one.kind, one.file)
    ):
        found = list(group)
        yield from map(str, found[:most])
        if len(found) > most:
            yield f"{file}: … and {len(found) - most} more [{kind}]"


def _compare(splits: Sequence[Lines], *, quick: bool) -> list[Finding]:
    """Checks that compare lines: findings about lines go to the splits, those about whole splits are returned."""
    whole = corpus.texts_and_labels(splits)
    for split in splits:
        corpus.duplicates(split)
    for first, second in itertools.combinations(splits, 2):
        whole += corpus.in_both(first, second)
    if not quick:
        corpus.speech_rates(splits)
    return whole


# Parallel work


@contextlib.contextmanager
def _here(quick: bool, workers: int | None) -> Iterator[Measured]:
    """Workers of this machine."""
    workers = workers or len(os.sched_getaffinity(0))
    with _pool(quick, workers) as pool:
        yield functools.partial(_measured, pool, ahead=workers * _CHUNKS_AHEAD)


@contextlib.contextmanager
def _pool(quick: bool, workers: int) -> Iterator[Executor]:
    """Threads for headers, which are cheaper to read than to send to a process; processes for decoding."""
    if quick or workers == 1:
        made: Executor = ThreadPoolExecutor(workers)
    else:  # a fork would copy locks held by other threads, such as that of a progress bar
        made = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield made
    finally:
        made.shutdown(cancel_futures=True)


def _measured(
    pool: Executor, utterances: Iterable[Utterance], quick: bool, *, ahead: int
) -> Iterator[tuple[Utterance, Sound]]:
    """Utterances with their measurements, in order; at most `ahead` chunks are computed in advance."""
    waiting: deque[tuple[list[Utterance], Future[list[Sound]]]] = deque()
    chunks = _chunks(utterances)
    while True:
        for chunk in itertools.islice(chunks, ahead - len(waiting)):
            excerpts = [Excerpt(one.source, one.start, one.duration, one.reading) for one in chunk]
            waiting.append((chunk, pool.submit(_measure, excerpts, quick)))
        if not waiting:
            return
        chunk, future = waiting.popleft()
        yield from zip(chunk, future.result(), strict=True)


def _chunks(utterances: Iterable[Utterance]) -> Iterator[list[Utterance]]:
    utterances = iter(utterances)
    while chunk := list(itertools.islice(utterances, _CHUNK)):
        yield chunk


def _measure(excerpts: list[Excerpt], quick: bool) -> list[Sound]:
    return [measure(excerpt, quick) for excerpt in excerpts]
