from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.evaluation.intervals import units
from speechxfer.evaluation.significance import matched_pairs, paired_bootstrap

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 9)), min_size=5, max_size=25)


@given(ROWS)
def test_exchanging_the_systems_turns_the_sign_and_nothing_else(rows: list[tuple[int, int, int]]) -> None:
    first, second, words = ([row[column] for row in rows] for column in range(3))
    drawn = units([None] * len(rows))
    one, other = paired_bootstrap(first, second, words, drawn), paired_bootstrap(second, first, words, drawn)
    assert one is not None
    assert other is not None
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == pytest.approx(other.p)
    assert one.improvement == pytest.approx(1 - other.improvement)
    there, back = matched_pairs(first, second), matched_pairs(second, first)
    assert (there is None) == (back is None)
    if there and back:
        assert there.statistic == pytest.approx(-back.statistic)
        assert there.p == pytest.approx(back.p)


def test_a_plain_difference_is_found_and_none_is_not() -> None:
    dice = np.random.default_rng(0)
    words = [10] * 200
    first, second = dice.binomial(10, 0.2, 200).tolist(), dice.binomial(10, 0.12, 200).tolist()
    drawn = units([None] * 200)
    found = paired_bootstrap(first, second, words, drawn)
    assert found is not None
    assert found.high < 0
    assert found.p < 0.001
    assert found.improvement > 0.999
    again = paired_bootstrap(first, dice.permutation(first).tolist(), words, drawn)
    assert again is not None
    assert again.low < 0 < again.high


def test_pairs_see_what_intervals_side_by_side_do_not() -> None:
    """Both find the same utterances hard; the second saves one error in every fifth."""
    hard = np.random.default_rng(1).binomial(20, 0.3, 100)
    second = hard - (np.arange(100) % 5 == 0)
    found = paired_bootstrap(hard.tolist(), second.tolist(), [20] * 100, units([None] * 100))
    assert found is not None
    assert found.difference == pytest.approx(-0.01)
    assert found.p < 0.001


def test_equal_systems_do_not_differ() -> None:
    found = paired_bootstrap([1, 0, 2, 0, 1], [1, 0, 2, 0, 1], [5] * 5, units([None] * 5))
    assert found is not None
    assert (found.difference, found.p, found.improvement) == (0.0, 1.0, 0.5)
    same = matched_pairs([1, 0, 2, 0, 1], [1, 0, 2, 0, 1])
    assert same is not None
    assert (same.statistic, same.p) == (0.0, 1.0)


def test_too_few_utterances_give_nothing() -> None:
    assert paired_bootstrap([1], [0], [3], units([None])) is None
    assert matched_pairs([1, 2, 3, 4], [0, 0, 0, 0]) is None


def test_matched_pairs_by_hand() -> None:
    """Student's t of the differences -1, -1, 0, -2, 1, -3: mean -1, variance 2."""
    found = matched_pairs([2, 1, 0, 3, 0, 4], [1, 0, 0, 1, 1, 1])
    assert found is not None
    assert found.mean == -1
    assert found.statistic == pytest.approx(-1 / np.sqrt(2 / 6))
    assert found.p == pytest.approx(0.1438, abs=1e-4)


def test_one_speaker_makes_no_improvement() -> None:
    """A hundred utterances improve, all of one speaker out of ten."""
    speakers = [str(number % 10) for number in range(1000)]
    first, second = [1] * 1000, [int(speaker != "0") for speaker in speakers]
    alone = paired_bootstrap(first, second, [5] * 1000, units([None] * 1000))
    grouped = paired_bootstrap(first, second, [5] * 1000, units(speakers))
    assert alone is not None
    assert grouped is not None
    assert alone.p < 0.001
    assert grouped.p > 0.05
