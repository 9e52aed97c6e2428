"""Processes that give no sign of life, over a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from torch.distributed import HashStore

from speechxfer.training.heartbeat import Heartbeat


class Other:
    """The next process: it counts in the store as long as it lives."""

    def __init__(self, store: HashStore) -> None:
        self.store, self.done = store, threading.Event()
        threading.Thread(target=self._live, daemon=True).start()

    def _live(self) -> None:
        count = 0
        while not self.done.wait(0.01):
            self.store.set("1", f"{(count := count + 1)} host-b")


@pytest.fixture
def store() -> HashStore:
    return HashStore()


@pytest.fixture
def other(store: HashStore) -> Iterator[Other]:
    store.set("1", "0 host-b")
    found = Other(store)
    yield found
    found.done.set()


def _watched(store: HashStore) -> tuple[Heartbeat, list[str], threading.Event]:
    messages: list[str] = []
    ended = threading.Event()

    def end(message: str) -> None:
        messages.append(message)
        ended.set()

    heartbeat = Heartbeat(store, 0, 2, end, every_s=0.02, silence_s=0.5)
    heartbeat.start()
    return heartbeat, messages, ended


def test_a_silent_process_is_named(store: HashStore, other: Other) -> None:
    heartbeat, messages, ended = _watched(store)
    assert not ended.wait(1.0)  # as long as it lives
    other.done.set()
    assert ended.wait(10.0)
    assert messages[0].startswith("process 1 on host-b has given no sign of life for 0 s: the host or the network is")
    heartbeat.stop()


def test_a_process_that_has_left_is_not_missed(store: HashStore, other: Other) -> None:
    other.done.set()
    leaving = Heartbeat(store, 1, 2, every_s=0.02)
    heartbeat, _, ended = _watched(store)
    leaving.stop()
    assert not ended.wait(1.5)
    heartbeat.stop()


def test_a_store_that_does_not_answer_is_reported() -> None:
    answer = threading.Event()

    class Silent(HashStore):
        def get(self, key: str) -> bytes:
            answer.wait(30)
            return b""

    heartbeat, messages, ended = _watched(Silent())
    assert ended.wait(10.0)
    answer.set()
    assert messages[0].startswith("the host where the processes meet has given no sign of life")
    heartbeat.stop()


def test_a_store_that_is_gone_ends_the_watch() -> None:
    class Gone(HashStore):
        def get(self, key: str) -> bytes:
            raise RuntimeError(key)

    _, messages, ended = _watched(Gone())
    assert not ended.wait(1.5)
    assert not messages
