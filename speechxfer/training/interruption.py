"""Ctrl-C between steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Delay Ctrl-C until the yielded function is called, so that no step is interrupted; a second is not delayed."""
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        if held:
            signal.default_int_handler(number, frame)
        held = True

    def pause() -> None:
        if held:
            raise KeyboardInterrupt

    # Only in place of Python's own handler: a job in the background ignores Ctrl-C, an application may have its own.
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, hold)
    try:
        yield pause
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
