from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.manifest import Utterance
from speechxfer.evaluation.intervals import (
    p_value,
    percentiles,
    proportion_interval,
    ratio_intervals,
    resampled,
    units,
    units_of,
    wilson,
)

WORDS = [4, 7, 2, 9, 5, 3, 8, 6]
ERRORS = [1, 0, 2, 3, 0, 1, 2, 1]
ALONE = units([None] * 8)


def test_an_interval_holds_its_figure_and_says_how_it_was_made() -> None:
    found = ratio_intervals({"wer": (ERRORS, WORDS)}, ALONE)
    low, high = found.bounds["wer"]
    wer = sum(ERRORS) / sum(WORDS)
    assert 0 <= low < wer < high
    assert found.show("wer", wer) == f"{wer:.3f} [{low:.3f}, {high:.3f}]"
    values = json.loads(json.dumps(found.to_dict()))
    assert values["bounds"]["wer"] == [low, high]
    kept = {name: values[name] for name in ("method", "unit", "count", "level", "seed")}
    assert kept == {"method": "percentile bootstrap", "unit": "utterance", "count": 8, "level": 0.95, "seed": 0}


def test_the_seed_is_fixed() -> None:
    figures = {"wer": (ERRORS, WORDS)}
    assert ratio_intervals(figures, ALONE) == ratio_intervals(figures, ALONE)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=5, max_size=30))
def test_bounds_are_rates_that_units_have(rows: list[tuple[int, int]]) -> None:
    errors, words = [row[0] for row in rows], [row[1] for row in rows]
    if not any(words):
        return
    found = ratio_intervals({"wer": (errors, words)}, units([None] * len(rows)))
    if "wer" in found.bounds:
        low, high = found.bounds["wer"]
        assert 0 <= low <= high
    else:
        assert "have the same wer" in found.note


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_handful_of_utterances_has_no_interval_and_says_why(count: int) -> None:
    for found in (
        ratio_intervals({"wer": (ERRORS[:count], WORDS[:count])}, units([None] * count)),
        proportion_interval("accuracy", [True] * count, units([None] * count)),
    ):
        assert not found.bounds
        seen = "1 utterance is" if count == 1 else f"{count} utterances are"
        assert str(found) == f"no interval: {seen} too few to resample; wanted at least 5"
        assert found.show("wer", 0.25) == "0.250"


def test_no_errors_at_all_are_no_certainty() -> None:
    found = ratio_intervals({"wer": ([0] * 8, WORDS), "cer": (ERRORS, WORDS)}, ALONE)
    assert list(found.bounds) == ["cer"]
    found = ratio_intervals({"wer": ([0] * 8, WORDS)}, ALONE)
    assert str(found) == "no interval: all 8 utterances have the same wer, so resampling shows no spread"


def test_speakers_are_drawn_where_enough_are_known() -> None:
    speakers = [f"s{number % 5}" for number in range(20)]
    drawn = units(speakers)
    assert (drawn.name, drawn.count) == ("speaker", 5)
    assert drawn.sums(range(20)).tolist() == [30, 34, 38, 42, 46]
    few = units([f"s{number % 4}" for number in range(20)])
    assert (few.name, few.count) == ("utterance", 20)
    assert "only 4 speakers" in few.note
    partly = units([*speakers, None])
    assert (partly.name, partly.count) == ("utterance", 21)
    assert "1 of 21 utterances have no speaker" in partly.note
    assert not units([None] * 20).note


def test_speakers_who_are_the_classes_are_no_sample_of_others() -> None:
    who = [Utterance(audio="a.wav", label=f"s{n % 6}", speaker=f"s{n % 6}") for n in range(60)]
    drawn = units_of(who, of_classes=True)
    assert (drawn.name, drawn.count) == ("utterance", 60)
    assert "each speaker is a class of its own" in drawn.note
    assert units_of(who, of_classes=False).name == "speaker"
    what = [replace(utterance, label=str(number % 10)) for number, utterance in enumerate(who)]
    assert units_of(what, of_classes=True).name == "speaker"
    some = [replace(utterance, label=str(number % 6 // 2)) for number, utterance in enumerate(who)]  # two speakers each
    assert units_of(some, of_classes=True).name == "speaker"
    assert not units_of([replace(utterance, speaker=None) for utterance in who], of_classes=True).note


def test_speakers_that_differ_make_the_interval_wider() -> None:
    errors = [5 if number % 10 == 0 else 0 for number in range(200)]  # all of one speaker
    words, speakers = [10] * 200, [str(number % 10) for number in range(200)]
    over_speakers = ratio_intervals({"wer": (errors, words)}, units(speakers)).bounds["wer"]
    over_utterances = ratio_intervals({"wer": (errors, words)}, units([None] * 200)).bounds["wer"]
    assert np.ptp(over_speakers) > 2 * np.ptp(over_utterances)


def test_draws_have_the_spread_of_the_mean() -> None:
    values = np.arange(100.0)[:, None]
    totals = resampled(values, resamples=4000, seed=3)[:, 0] / 100
    assert totals.mean() == pytest.approx(values.mean(), abs=0.2)
    assert totals.std() == pytest.approx(values.std() / 10, rel=0.05)


def test_draws_are_the_same_however_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).random((50, 2))
    whole = resampled(sums)
    monkeypatch.setattr("speechxfer.evaluation.intervals._AT_ONCE", 50 * 64)
    np.testing.assert_array_equal(resampled(sums), whole)


@given(st.integers(5, 400), st.floats(-3, 3))
def test_p_is_below_the_level_just_where_the_interval_leaves_out_nothing(count: int, shift: float) -> None:
    samples = np.random.default_rng(count).normal(shift, 1, 2000)
    low, high = percentiles(samples, count)
    p = p_value(samples, count)
    assert 0 < p <= 1
    if abs(p - 0.05) > 0.005:
        assert (p < 0.05) == (not low <= 0 <= high)


def test_few_units_make_wider_intervals() -> None:
    samples = np.random.default_rng(0).normal(size=2000)
    widths = [np.ptp(percentiles(samples, count)) for count in (5, 20, 10_000)]
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] == pytest.approx(np.ptp(np.quantile(samples, [0.025, 0.975])), rel=0.01)


def test_wilson_as_published() -> None:
    # Newcombe, 1998, Two-sided confidence intervals for the single proportion, table I, method 3.
    for (hits, trials), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(hits, trials) == pytest.approx(expected, abs=5e-5)
    assert wilson(20, 20)[1] == 1.0


def test_a_share_over_speakers_is_drawn() -> None:
    right = [number % 3 > 0 for number in range(30)]
    drawn = units([str(number % 7) for number in range(30)])
    found = proportion_interval("accuracy", right, drawn)
    assert (found.method, found.unit) == ("percentile bootstrap", "speaker")
    assert proportion_interval("accuracy", right, units([None] * 30)).method == "Wilson's score"
