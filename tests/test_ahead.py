from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from speechxfer.ahead import Ahead, side_by_side


def counted(size: int, made: list[int]) -> Iterator[int]:
    for number in range(size):
        made.append(number)
        yield number


def waited(condition: object) -> bool:
    for _ in range(300):
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_items_keep_their_order_and_a_few_are_ready() -> None:
    made: list[int] = []
    items = Ahead(counted(50, made), most=3)
    assert waited(lambda: len(made) >= 4)
    assert len(made) == 4  # three are ready, and one waits
    assert list(items) == list(range(50))
    assert list(items) == []


def test_an_error_is_raised_in_the_place_of_the_item() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    items = Ahead(broken(), most=3)
    assert next(items) == 1
    with pytest.raises(ValueError, match="two"):
        next(items)
    assert list(items) == []


def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    made: list[int] = []
    with contextlib.closing(Ahead(counted(10**9, made), most=2)) as items:
        assert next(items) == 0
    assert threading.active_count() == before
    assert len(made) < 10


def test_sequences_are_made_at_the_same_time_and_come_in_order() -> None:
    made: list[list[int]] = [[] for _ in range(5)]
    before = threading.active_count()
    found = side_by_side((counted(3, one) for one in made), workers=2, most=2)
    first = next(found)
    assert waited(lambda: made[1])
    assert not made[2]
    assert [list(first), *map(list, found)] == [[0, 1, 2]] * 5
    assert threading.active_count() == before


def test_sequences_that_are_given_up_leave_no_thread() -> None:
    before = threading.active_count()
    found = side_by_side((counted(10**9, []) for _ in range(9)), workers=3, most=2)
    next(next(found))
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
