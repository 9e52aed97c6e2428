"""Whether all processes of a run are still there: each counts up in the common store, and watches the next one.

A process that was killed closes its connections, which the others notice at once. A host that loses its power or its
network closes none, and who waits for it would wait for ever.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

from torch.distributed.distributed_c10d import Store

#: Between two signs of life, in seconds, and after how many seconds without any a process counts as lost.
EVERY_S = 5.0
SILENCE_S = 60.0
_LEFT = "left"
#: How long a thread is waited for, in seconds.
_PARTING_S = 5.0


class Heartbeat:
    """Ends this process where the next one, or the store that all of them share, gives no sign of life.

    The main thread waits in a library that nothing can interrupt, so this process is ended without a clean-up; what
    has been written is whole at any time.

    Args:
        store: of the processes; all of them have made their heartbeat before any starts it.
        rank, size: of this process, and how many there are.
        end: called with the message; ends the process.
    """

    def __init__(
        self, store: Store, rank: int, size: int, end: Callable[[str], None] | None = None,
        *, every_s: float = EVERY_S, silence_s: float = SILENCE_S,
    ) -> None:  # fmt: skip
        self._store, self._rank, self._next = store, rank, (rank + 1) % size
        self._end, self._every_s, self._silence_s = end or _end, every_s, silence_s
        self._done = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._beat, self._watch)]
        #: When the store answered, and when the next process was first seen to have counted so far.
        self._answered = self._moved = time.monotonic()
        self._host = "?"
        store.set(str(rank), f"0 {socket.gethostname()}")

    def start(self) -> None:
        """Begin to count and to watch."""
        self._answered = self._moved = time.monotonic()
        for thread in self._threads:
            thread.start()
        # A thread that is inside the store when Python ends would abort the process.
        atexit.register(self._halt)

    def stop(self) -> None:
        """Leave: nobody misses this process from now on."""
        atexit.unregister(self._halt)
        self._halt()
        try:
            self._store.set(str(self._rank), _LEFT)
        except RuntimeError:  # the store's process has left before
            return

    def _halt(self) -> None:
        self._done.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_PARTING_S)

    def _beat(self) -> None:
        """Count up, and see whether the next process did; blocks where the store's host is silent."""
        count, seen = 0, ""
        while not self._done.wait(self._every_s):
            count += 1
            try:
                self._store.set(str(self._rank), f"{count} {socket.gethostname()}")
                found = self._store.get(str(self._next)).decode()
            except RuntimeError:  # its process has ended: whoever still needs it notices
                self._done.set()
                return
            self._answered = time.monotonic()
            if found != seen or found == _LEFT:
                seen, self._moved = found, self._answered
                self._host = found.partition(" ")[2]

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._every_s)):
            now = time.monotonic()
            if now - self._answered > self._silence_s:
                self._lost("the host where the processes meet")
            elif now - self._moved > self._silence_s:
                self._lost(f"process {self._next} on {self._host}")

    def _lost(self, name: str) -> None:
        self._done.set()
        self._end(
            f"{name} has given no sign of life for {self._silence_s:.0f} s: the host or the network is down; what was "
            "written stays good, go on with --resume"
        )


def _end(message: str) -> None:
    print(f"Error: {message}", file=sys.stderr, flush=True)
    os._exit(1)
