"""Budgets on devices that are a formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.batching import cost_s
from speechxfer.training.batch_budget import Budget, find, is_out_of_memory

CPU = torch.device("cpu")


class Meter:
    """A device that takes so many bytes for so many seconds, and has no more than `room`."""

    def __init__(self, formula: Callable[[float], float], room: float = math.inf) -> None:
        self.formula, self.room = formula, room
        self.trials: list[float] = []

    def __call__(self, seconds: float) -> float:
        self.trials.append(seconds)
        if self.formula(seconds) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.formula(seconds)


@given(
    fixed=st.floats(0.0, 1e3),
    linear=st.floats(0.01, 100.0),
    quadratic=st.floats(0.0, 1.0),
    free=st.floats(1.0, 1e6),
    longest=st.floats(0.3, 50.0),
    tight=st.booleans(),
)
def test_the_peak_stays_within_the_plan_or_is_one_utterance(
    fixed: float, linear: float, quadratic: float, free: float, longest: float, tight: bool
) -> None:
    meter = Meter(lambda seconds: fixed + linear * seconds + quadratic * seconds**2, free if tight else math.inf)
    found = find(meter, free, longest)
    assert len(meter.trials) <= 5
    assert found.seconds >= longest
    assert found.fits == (meter.formula(longest) <= meter.room)
    if found.seconds > longest:
        assert meter.formula(found.seconds) <= 0.8 * free
        assert math.log2(found.seconds).is_integer()


@given(fixed=st.floats(0.0, 100.0), linear=st.floats(0.1, 10.0), free=st.floats(1e3, 1e5), longest=st.floats(1.0, 30.0))
def test_of_a_linear_device_no_more_than_half_is_given_away(
    fixed: float, linear: float, free: float, longest: float
) -> None:
    possible = (0.8 * free - fixed) / linear
    found = find(Meter(lambda seconds: fixed + linear * seconds, free), free, longest)
    assert found.fits
    assert found.seconds >= min(1024.0, max(longest, 0.94 * possible / 2))


def test_it_takes_few_trials() -> None:
    meter = Meter(lambda seconds: 100 + 10 * seconds, 10_000)
    assert find(meter, 10_000, 10.0) == (512.0, True)
    assert len(meter.trials) == 3
    assert len(meter.trials) == len(set(meter.trials))


def test_a_device_that_is_too_small_is_reported() -> None:
    meter = Meter(lambda seconds: 100 * seconds, 1000)
    assert find(meter, 1000, 30.0) == (30.0, False)
    assert find(meter, 1000, 9.0) == (9.0, True)  # more than the plan, but what there is
    assert find(Meter(lambda seconds: 5.0, 1000), 1000, 3000.0) == (3000.0, True)


def test_a_device_whose_memory_does_not_grow_gets_the_most() -> None:
    assert find(Meter(lambda seconds: 5.0), 1000, 2.0) == (1024.0, True)


def test_other_errors_are_not_swallowed() -> None:
    def broken(seconds: float) -> float:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        find(broken, 1000, 1.0)


def test_a_cpu_or_a_wish_is_not_measured() -> None:
    def never(seconds: float) -> None:
        raise AssertionError

    assert Budget(CPU).measure(never, 30.0)
    assert Budget(torch.device("cuda"), 7.0).measure(never, 30.0)
    assert Budget(torch.device("cuda"), 7.0).seconds == 7.0


@given(
    lengths=st.lists(st.floats(0.2, 30.0), min_size=1, max_size=30),
    room_s=st.floats(0.5, 200.0),
    budget_s=st.floats(5.0, 500.0),
)
def test_backing_off_computes_what_fits_and_puts_aside_what_does_not(
    lengths: list[float], room_s: float, budget_s: float
) -> None:
    """As the loop does: a step is computed again in smaller pieces, the next ones were cut before that."""
    budget = Budget(CPU)
    budget.seconds = budget_s
    steps = [list(range(start, min(start + 10, len(lengths)))) for start in range(0, len(lengths), 10)]
    made_ahead = [budget.split(step, lengths) for step in steps]
    tries = 0

    def fits(piece: list[int]) -> bool:
        return len(piece) * cost_s(max(lengths[index] for index in piece)) <= room_s

    for step, made in zip(steps, made_ahead, strict=True):
        pieces = made
        while too_large := next((piece for piece in pieces if not fits(piece)), None):
            tries += 1
            before = budget.seconds
            budget.back_off(too_large, lengths)
            assert budget.seconds >= min(before, room_s / 2)  # no smaller than needed, however often memory runs out
            pieces = budget.split(step, lengths)
        done = sorted(index for piece in pieces for index in piece)
        assert done == [index for index in step if cost_s(lengths[index]) <= room_s]
    assert budget.skipped == {index for index, length in enumerate(lengths) if cost_s(length) > room_s}
    assert tries <= len(budget.skipped) + len(steps) + 12


def test_a_gpu_is_measured_beside_what_it_holds_already(monkeypatch: pytest.MonkeyPatch) -> None:
    held, peak = 1000, 0
    for name, answer in {
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda _device: None,
        "memory_allocated": lambda _device: held,
        "max_memory_allocated": lambda _device: peak,
        "mem_get_info": lambda _device: (9000, 10_000),
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)

    def compute(seconds: float) -> None:
        nonlocal peak
        peak = held + int(10 * seconds)

    budget = Budget(torch.device("cuda"))
    assert budget.seconds == 60.0
    assert budget.measure(compute, 3.0)
    assert budget.seconds == 512.0  # of 720
    assert budget.measure(compute, 3.0, spared_bytes=5000)
    assert budget.seconds == 256.0  # of 320


def test_real_and_reported_lack_of_memory_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"))
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
