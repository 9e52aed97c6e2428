"""Batches of utterances on their way to the workers of an engine, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.engine import Engine, Task
from speechxfer.errors import SpeechxferError
from speechxfer.progress import Progress, Warnings


class Batch(NamedTuple):
    """Utterances that are computed together, and their numbers."""

    numbers: Sequence[int]
    utterances: Sequence[Utterance]


class Answer(NamedTuple):
    """What a worker found for each utterance of a batch, with warnings and their kinds."""

    numbers: Sequence[int]
    found: Sequence[Any]
    warnings: list[tuple[str, str]]


def answered(compute: Callable[[Sequence[Utterance], Progress], Sequence[Any]], batches: Sequence[Batch]) -> Answer:
    """What a worker answers: one batch is given to it at a time."""
    (batch,), warnings = batches, Warnings()
    return Answer(batch.numbers, compute(batch.utterances, warnings), warnings.take())


def answers(
    engine: Engine, task: Task[Batch, Answer], manifest: Manifest, batches: Iterable[Sequence[int]],
    progress: Progress | None,
) -> Iterator[tuple[Sequence[int], Sequence[Any]]]:  # fmt: skip
    """What workers find for batches of a manifest, in any order.

    Raises:
        ConfigError: there are no workers, or they have other versions.
        AudioError: an utterance cannot be read.
        SpeechxferError: several workers were lost over the same batch.
    """
    sent = (Batch(numbers, [manifest[number].located() for number in numbers]) for numbers in batches)
    for answer in engine.map(task, sent):
        for message, kind in answer.warnings:
            (progress or Progress()).warn(message, kind)
        yield answer.numbers, answer.found


def raise_lost(batch: Batch, reason: str) -> NoReturn:
    """End the work where workers do not survive a batch: without it, figures would not be those of the manifest."""
    raise SpeechxferError(f"{batch.utterances[0].origin}: {reason} (it is computed with {len(batch.numbers) - 1} others); leave it out, or pass fewer --actors")  # fmt: skip  # noqa: E501
