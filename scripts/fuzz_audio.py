"""Damaged audio files through the decoder: each has to be read, or refused with the project's own error.

    python -m scripts.fuzz_audio --count 10000

Every file is a mutation of one of `audio_files.FORMS`, made from the seed and its number alone, so that `--only 4711`
makes that one again. Each is measured, read whole, in blocks and in part by a worker process. What takes more than 10 s
or 1 GB, raises anything else, differs between whole and blocks, or kills the worker is a violation; the exit status is
1 then. Linux only, for the memory.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import click
import numpy as np

from scripts.audio_files import FORMS, Form, speech_like, write

SECONDS = 1.5
MOST_S, MOST_BYTES = 10.0, 1 << 30
#: Where headers are, in bytes.
_HEADER = 200
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
OUTCOMES = ("read", "refused", "slow", "large", "wrong", "raised", "killed")


@dataclass(frozen=True)
class Outcome:
    """What became of a file, and what it took."""

    number: int
    suffix: str
    kind: str
    what: str
    seconds: float = 0.0
    peak: int = 0

    def __str__(self) -> str:
        return f"{self.number}.{self.suffix}"

    @property
    def is_violation(self) -> bool:
        """Neither read nor refused."""
        return self.kind not in ("read", "refused")


# Mutations


Random = np.random.Generator


def _cut(data: bytearray, random: Random) -> bytearray:
    return data[: random.integers(1, len(data))]


def _flip(data: bytearray, random: Random) -> bytearray:
    for place in random.integers(0, len(data), random.integers(1, 50)):
        data[place] ^= 1 << int(random.integers(8))
    return data


def _flip_header(data: bytearray, random: Random) -> bytearray:
    for place in random.integers(0, min(_HEADER, len(data)), random.integers(1, 8)):
        data[place] = int(random.integers(256))
    return data


def _extreme(data: bytearray, random: Random) -> bytearray:
    """A field of 1 to 8 bytes in the header, at its limits."""
    size = int(random.choice([1, 2, 4, 8]))
    place = int(random.integers(0, max(1, min(_HEADER, len(data)) - size)))
    fill = bytes([int(random.choice(_EXTREMES))] * size)
    data[place : place + size] = fill
    return data


def _zero(data: bytearray, random: Random) -> bytearray:
    start, stop = _range(data, random)
    data[start:stop] = bytes(stop - start)
    return data


def _noise(data: bytearray, random: Random) -> bytearray:
    start, stop = _range(data, random)
    data[start:stop] = random.bytes(stop - start)
    return data


def _delete(data: bytearray, random: Random) -> bytearray:
    start, stop = _range(data, random)
    return data[:start] + data[stop:]


def _repeat(data: bytearray, random: Random) -> bytearray:
    start, stop = _range(data, random)
    return data[:stop] + data[start:]


def _swap(data: bytearray, random: Random) -> bytearray:
    first, second, third, fourth = sorted(int(place) for place in random.integers(0, len(data) + 1, 4))
    return data[:first] + data[third:fourth] + data[second:third] + data[first:second] + data[fourth:]


def _double(data: bytearray, _random: Random) -> bytearray:
    return data + data


def _range(data: bytearray, random: Random) -> tuple[int, int]:
    start = int(random.integers(0, len(data)))
    return start, min(len(data), start + int(2 ** random.uniform(0, 14)))


MUTATIONS: tuple[Callable[[bytearray, Random], bytearray], ...] = (
    _cut, _flip, _flip_header, _extreme, _extreme, _zero, _noise, _delete, _repeat, _swap, _double,
)  # fmt: skip


def sources(folder: Path) -> list[tuple[Form, bytes]]:
    """What is mutated: a file of each form."""
    found = []
    for number, form in enumerate(FORMS):
        path = write(folder / f"source{number}.{form.suffix}", form, speech_like(SECONDS, form.rate))
        found.append((form, path.read_bytes()))
    return found


def mutated(files: list[tuple[Form, bytes]], number: int, seed: int) -> tuple[str, bytes]:
    """The suffix and content of a damaged file."""
    random = np.random.default_rng([seed, number])
    form, content = files[number % len(files)]
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        if random.random() < 0.05:
            data += files[random.integers(len(files))][1]
        if data:
            data = MUTATIONS[random.integers(len(MUTATIONS))](data, random)
    return form.suffix, bytes(data)


# Reading, in a worker


def read(number: int, suffix: str, path: Path) -> Outcome:
    """Everything that can be done to a file."""
    from speechxfer import audio
    from speechxfer.errors import AudioError

    kind, what = "read", ""
    started, before = time.monotonic(), _reset_peak()
    try:
        whole = _or_refusal(lambda: len(audio.load(path)))
        blocks = _or_refusal(lambda: sum(map(len, audio.blocks(path))))
        _or_refusal(lambda: audio.info(path).duration)
        _or_refusal(lambda: audio.load(path, start=0.5, duration=0.5))
        if isinstance(whole, AudioError):
            kind, what = "refused", str(whole)
        elif whole != blocks:
            kind, what = "wrong", f"load gives {whole} samples, blocks {blocks}"
    except Exception:  # that there is none is what is looked for
        kind, what = "raised", traceback.format_exc()
    seconds, peak = time.monotonic() - started, _peak() - before
    if seconds > MOST_S or peak > MOST_BYTES:
        kind = "slow" if seconds > MOST_S else "large"
        what = f"{seconds:.1f} s, {peak / 2**20:.0f} MB; {what}"
    return Outcome(number, suffix, kind, what, seconds, peak)


def _or_refusal(function: Callable[[], object]) -> object:
    from speechxfer.errors import AudioError

    try:
        return function()
    except AudioError as error:
        return error


def _reset_peak() -> int:
    """Bytes that are in memory, from which the peak is counted."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Bytes that were in memory at most since then."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _work(connection: Connection, files: list[tuple[Form, bytes]], seed: int, folder: str) -> None:
    path = None
    while (number := connection.recv()) is not None:
        suffix, content = mutated(files, number, seed)
        if path:
            path.unlink()
        path = Path(folder, f"{multiprocessing.current_process().pid}.{suffix}")
        path.write_bytes(content)
        connection.send(read(number, suffix, path))


# The parent


class _Worker:
    """A process that reads one file after the other, and is replaced when it does not answer."""

    def __init__(self, start: Callable[[Connection], multiprocessing.Process]) -> None:
        self._start = start
        self.number: int | None = None
        self._begin()

    def _begin(self) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.process = self._start(theirs)
        self.process.start()
        theirs.close()

    def give(self, number: int | None) -> None:
        """A file to read; None ends it."""
        self.number, self.given_at = number, time.monotonic()
        self.connection.send(number)

    def answer(self, suffix: str) -> Outcome | None:
        """What became of the file; None while that is not known."""
        assert self.number is not None
        seconds = time.monotonic() - self.given_at
        try:
            if self.connection.poll():
                outcome: Outcome = self.connection.recv()
                return outcome
            if seconds < 2 * MOST_S:
                return None
            self.process.kill()
            found = Outcome(self.number, suffix, "slow", f"no answer after {seconds:.0f} s", seconds)
        except EOFError:
            self.process.join()
            found = Outcome(self.number, suffix, "killed", f"exit status {self.process.exitcode}", seconds)
        self.process.join()
        self._begin()
        return found


def outcomes(
    files: list[tuple[Form, bytes]], numbers: list[int], seed: int, workers: int, folder: str
) -> Iterator[Outcome]:
    """What becomes of each file, as it is known."""
    context = multiprocessing.get_context("fork")

    def start(connection: Connection) -> multiprocessing.Process:
        return context.Process(target=_work, args=(connection, files, seed, folder), daemon=True)  # type: ignore[return-value]

    left = iter(numbers)
    busy = []
    for number in (number for _, number in zip(range(workers), left, strict=False)):
        worker = _Worker(start)
        worker.give(number)
        busy.append(worker)
    while busy:
        wait([worker.connection for worker in busy], timeout=1.0)
        for worker in list(busy):
            assert worker.number is not None
            outcome = worker.answer(files[worker.number % len(files)][0].suffix)
            if outcome is None:
                continue
            yield outcome
            following = next(left, None)
            worker.give(following)
            if following is None:
                busy.remove(worker)


@click.command()
@click.option("--count", default=10_000, show_default=True, help="Files to make.")
@click.option("--seed", default=18, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--only", "numbers", multiple=True, type=int, help="Only the file of this number; may be repeated.")
@click.option("--keep", type=click.Path(path_type=Path), help="Write those of --only here.")
def main(count: int, seed: int, workers: int, numbers: tuple[int, ...], keep: Path | None) -> None:
    """Read damaged files and print a table of what became of them."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    violations: list[Outcome] = []
    slowest = largest = Outcome(0, "", "", "")
    with tempfile.TemporaryDirectory() as folder:
        files = sources(Path(folder))
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            for number in numbers:
                suffix, content = mutated(files, number, seed)
                (keep / f"{number}.{suffix}").write_bytes(content)
        for outcome in outcomes(files, list(numbers) or list(range(count)), seed, workers, folder):
            table[outcome.suffix][outcome.kind] += 1
            slowest = max(slowest, outcome, key=lambda one: one.seconds)
            largest = max(largest, outcome, key=lambda one: one.peak)
            if numbers or outcome.is_violation:
                click.echo(f"{outcome}: {outcome.kind}: {outcome.what}", err=True)
            violations += [outcome] if outcome.is_violation else []
    _print(table)
    slow, large = f"{slowest.seconds:.2f} s ({slowest})", f"{math.ceil(largest.peak / 2**20)} MB ({largest})"
    click.echo(f"\nslowest {slow}, largest {large}, {len(violations)} violations, seed {seed}")
    sys.exit(bool(violations))


def _print(table: dict[str, Counter[str]]) -> None:
    """A row for each suffix, and one for all."""
    table = dict(sorted(table.items()))
    table["all"] = sum(table.values(), Counter[str]())
    click.echo(f"| suffix | files | {' | '.join(OUTCOMES)} |\n|{'---|' * (len(OUTCOMES) + 2)}")
    for suffix, counts in table.items():
        click.echo(f"| {suffix} | {counts.total()} | {' | '.join(str(counts[kind]) for kind in OUTCOMES)} |")


if __name__ == "__main__":
    main()
