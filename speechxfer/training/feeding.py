"""From the steps of an epoch to batches on the device, prepared while the device is busy with those before."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from speechxfer.config import AugmentConfig
from speechxfer.data.augment import FrameMask, frame_mask
from speechxfer.data.manifest import Manifest
from speechxfer.training.inputs import Inputs, Loaded

_T = TypeVar("_T")
#: Steps that are ready before they are needed.
_AHEAD = 3


@dataclass(frozen=True)
class Examples:
    """What is trained or measured on: inputs at the seam, the lines they came from, and their labels."""

    inputs: Inputs
    manifest: Manifest
    targets: list[list[int]]


@dataclass(frozen=True)
class Batch:
    """Utterances computed together, on their way to the seam."""

    indices: Sequence[int]
    loaded: Loaded
    mask: FrameMask | None
    targets: list[list[int]]


def load(
    examples: Examples, indices: Sequence[int], epoch: int, width: int, augment: AugmentConfig | None, seed: int
) -> Batch:
    """Read a batch and decide what SpecAugment hides of it (of `width` channels, which may be none); on the CPU.

    Where something is hidden of its spectrograms, nothing is at the seam.
    """
    loaded = examples.inputs.load(indices, epoch)
    seeds = [(seed, epoch, index) for index in indices]
    at_seam = augment if examples.inputs.augment is None else None
    mask = frame_mask(seeds, loaded.num_frames, width, at_seam) if at_seam else None
    return Batch(indices, loaded, mask, [examples.targets[index] for index in indices])


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, copied without waiting for it."""
    return replace(batch, loaded=batch.loaded.to(device))


class Waited:
    """Seconds spent waiting for something to compute on."""

    seconds = 0.0

    def count(self, items: Iterable[_T]) -> Iterator[_T]:
        """Pass items on and time the waiting."""
        iterator = iter(items)
        while True:
            started = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.monotonic() - started
            yield item


def ahead(items: Iterator[_T]) -> Iterator[_T]:
    """The same items, made in a thread of their own some steps before they are asked for.

    An error in the making is raised where the item is asked for; leaving off early ends the thread.
    """
    ready: queue.Queue[tuple[_T | None, BaseException | None]] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def put(item: _T | None, error: BaseException | None) -> None:
        while not given_up.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                break

    def make() -> None:
        try:
            for item in items:
                put(item, None)
                if given_up.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:  # raised again where it is read
            put(None, error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        given_up.set()
        thread.join()
