from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.batching import batches, cost_s, padding_share, share, steps

DURATIONS = st.lists(st.floats(0.05, 35), min_size=1, max_size=200)


@given(DURATIONS, st.floats(1, 100), st.integers(0, 3))
def test_every_utterance_is_in_one_step_and_one_batch_within_the_budget(
    durations: list[float], budget: float, epoch: int
) -> None:
    everything = range(len(durations))
    for cut in (steps(durations, budget, seed=1, epoch=epoch), batches(everything, durations, budget)):
        assert sorted(index for part in cut for index in part) == list(everything)
        for part in cut:
            longest = max(durations[index] for index in part)
            assert len(part) == 1 or len(part) * cost_s(longest) <= budget


@given(DURATIONS, st.floats(1, 100), st.sampled_from([0.05, 0.5]))
def test_batches_never_waste_more_than_they_may(durations: list[float], budget: float, most: float) -> None:
    found = batches(range(len(durations)), durations, budget, most)
    assert padding_share([[durations[index] for index in batch] for batch in found]) <= most + 1e-9


@given(DURATIONS, st.integers(1, 5))
def test_processes_share_a_step_evenly(durations: list[float], size: int) -> None:
    shares = [share(range(len(durations)), durations, rank, size) for rank in range(size)]
    assert sorted(index for part in shares for index in part) == list(range(len(durations)))
    seconds = [sum(durations[index] for index in part) for part in shares]
    assert max(seconds) - min(seconds) <= max(durations) + 1e-9


def test_alone_a_process_computes_the_whole_step() -> None:
    assert share([4, 2, 7], {2: 3.0, 4: 2.0, 7: 1.0}, 0, 1) == [2, 4, 7]


def test_epochs_differ_and_can_be_repeated() -> None:
    durations = [0.5 + index % 7 for index in range(100)]
    first, again, second = (steps(durations, 30, seed=1, epoch=epoch) for epoch in (0, 0, 1))
    assert first == again
    assert first != second
    assert first != steps(durations, 30, seed=2, epoch=0)


def test_padding_is_counted() -> None:
    assert padding_share([[1.0, 2.0], [3.0]]) == 1 - 6 / 7
    assert padding_share([[1.0, 1.0]]) == 0
