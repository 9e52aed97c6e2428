"""Work beside the work: cores that may be used, and items that a thread makes before they are asked for."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


def available_cores() -> int:
    """Cores that this process may use: on Linux, those that a container or `taskset` leaves it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Ahead(Iterator[_T], Generic[_T]):
    """The same items in the same order, of which a thread makes some before they are asked for.

    An error there is raised where the item is asked for. Closing it ends the thread.

    Args:
        items: iterated over in the thread, from now on.
        most: items that are ready before they are needed.
    """

    def __init__(self, items: Iterable[_T], most: int) -> None:
        self._ready: queue.Queue[tuple[list[_T], BaseException | None]] = queue.Queue(most)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._make, args=(items,), daemon=True)
        self._thread.start()

    def __next__(self) -> _T:
        if self._closed.is_set():
            raise StopIteration
        items, error = self._ready.get()
        if items:
            return items[0]
        self.close()
        raise error or StopIteration

    def close(self) -> None:
        """End the thread; there are no more items."""
        self._closed.set()
        self._thread.join()

    def _make(self, items: Iterable[_T]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                self._put([item], None)
                if self._closed.is_set():
                    return
        except BaseException as raised:  # raised again where it is read
            error = raised
        self._put([], error)

    def _put(self, items: list[_T], error: BaseException | None) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put((items, error), timeout=0.1)
                return


def side_by_side(sequences: Iterable[Iterable[_T]], workers: int, most: int) -> Iterator[Iterator[_T]]:
    """The same sequences in the same order, of which so many threads make some items before they are asked for.

    Args:
        sequences: each is used up, or given up, before the next one is asked for.
        workers: sequences that are made at the same time.
        most: items of each that are ready before they are needed.
    """
    running: deque[Ahead[_T]] = deque()
    try:
        for items in sequences:
            running.append(Ahead(items, most))
            if len(running) == workers:
                yield running[0]
                running.popleft().close()
        while running:
            yield running[0]
            running.popleft().close()
    finally:
        for one in running:
            one.close()
