from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.batching import by_length, cost_s, padding_share, shuffled

DURATIONS = st.lists(st.floats(0.05, 35), min_size=1, max_size=200)


@given(DURATIONS, st.floats(1, 100), st.integers(0, 3))
def test_every_utterance_is_in_one_batch_within_the_budget(durations: list[float], budget: float, epoch: int) -> None:
    for batches in (by_length(durations, budget), shuffled(durations, budget, seed=1, epoch=epoch)):
        assert sorted(index for batch in batches for index in batch) == list(range(len(durations)))
        for batch in batches:
            longest = max(durations[index] for index in batch)
            assert len(batch) == 1 or len(batch) * cost_s(longest) <= budget


def test_epochs_differ_and_can_be_repeated() -> None:
    durations = [0.5 + index % 7 for index in range(100)]
    first, again, second = (shuffled(durations, 30, seed=1, epoch=epoch) for epoch in (0, 0, 1))
    assert first == again
    assert first != second
    assert first != shuffled(durations, 30, seed=2, epoch=0)


def test_padding_is_small_where_lengths_vary() -> None:
    durations = [0.5 * 1.02**index for index in range(200)]
    assert padding_share(durations, shuffled(durations, 60, seed=1, epoch=0)) < 0.06
    in_order = [list(range(start, start + 20)) for start in range(0, 200, 20)]
    assert padding_share(durations, in_order[::-1]) > 0.1
    assert padding_share([1.0, 1.0], [[0, 1]]) == 0
