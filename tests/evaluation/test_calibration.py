from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.calibration import Calibration
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.errors import DataError
from speechxfer.evaluation.calibration import fit
from speechxfer.evaluation.reliability import Judged, reliability
from speechxfer.evaluation.results import Evaluation, compare


def evaluated(*pairs: tuple[str, str], confidence: float | None = 0.7) -> Evaluation:
    """References and what was written for them."""
    manifest = Manifest(Utterance(audio=f"{number}.wav", text=text) for number, (text, _) in enumerate(pairs))
    written = [Hypothesis(text, tuple(Word(word, 0, 1, confidence) for word in text.split())) for _, text in pairs]
    return compare(manifest, written, TextNormalizer())


def drawn(calibration: Calibration, seed: int, count: int = 6000) -> list[Judged]:
    """Words whose true confidence is what a calibration makes of the one that they have."""
    draw = random.Random(seed)
    words = [(draw.betavariate(4, 1), draw.randint(1, 12), draw.betavariate(4, 1)) for _ in range(count)]
    return [Judged(one, draw.random() < calibration.confidence(one, *of), *of) for one, *of in words]


def under(calibration: Calibration, words: list[Judged]) -> list[Judged]:
    """Words with calibrated confidences."""
    return [Judged(calibration.confidence(one, *of), right, *of) for one, right, *of in words]


def test_the_error_is_the_mean_distance_over_bins() -> None:
    words = [Judged(0.95, True)] * 6 + [Judged(0.95, False)] * 2 + [Judged(0.5, False), Judged(1.0, True)]
    found = reliability(words)
    assert [one.words for one in found.bins] == [1, 9]
    assert found.error == pytest.approx((1 * 0.5 + 9 * abs((8 * 0.95 + 1) / 9 - 7 / 9)) / 10)


def test_words_are_right_as_the_alignment_has_it() -> None:
    found = evaluated(("Eins zwei drei", "eins, ZWEI! vier ... drei"), ("a", "b")).reliability
    assert found is not None
    assert found.words == 5  # dots are no word
    assert [(one.words, one.right) for one in found.bins] == [(5, pytest.approx(3 / 5))]
    assert evaluated(("eins", "eins"), confidence=None).reliability is None
    assert evaluated(("eins", "")).reliability is None


@pytest.mark.slow
@pytest.mark.parametrize("true", [Calibration(0.4), Calibration(0.6, -0.8), Calibration(0.7, 1.3, 0.6, 0.5)])
def test_what_is_fitted_holds_for_other_words(true: Calibration) -> None:
    found, others = fit(drawn(true, seed=1)), drawn(true, seed=2)
    assert reliability(others).error > 0.04
    assert reliability(under(found, others)).error < 0.025
    wanted = [true.confidence(confidence, *of) for confidence, _, *of in others]
    assert np.abs([one.confidence for one in under(found, others)] - np.array(wanted)).mean() < 0.02


def test_long_words_and_short_ones_are_both_right_as_often_as_they_should() -> None:
    true = Calibration(0.0, 3.0, 1.0)
    found, others = fit(drawn(true, seed=3)), drawn(true, seed=4)
    for lengths in (range(1, 3), range(8, 13)):
        some = [one for one in others if one.characters in lengths]
        assert reliability(under(found, some)).error < 0.05


@given(
    words=st.lists(
        st.builds(Judged, st.floats(0, 1), st.booleans(), st.integers(1, 12), st.floats(0, 1)),
        min_size=100,
        max_size=120,
    )
)
@settings(max_examples=25)
def test_a_more_confident_word_is_never_less_likely_to_be_right(words: list[Judged]) -> None:
    found = fit(words)
    for length in (1, 5, 20):
        values = [found.confidence(value / 50, length, text=0.8) for value in range(51)]
        assert values == sorted(values)
        assert all(0 <= value <= 1 for value in values)


def test_data_without_an_error_and_without_a_right_word() -> None:
    for right in (True, False):
        found = fit([Judged(0.9 + number / 1000, right) for number in range(100)])
        assert abs(found.confidence(0.95) - right) < 0.05


def test_confidences_that_mean_the_contrary_are_all_alike() -> None:
    found = fit([Judged(number / 200, number < 100) for number in range(200)])
    assert found.slope == 0.0
    assert found.confidence(0.1) == found.confidence(0.9) == pytest.approx(0.5, abs=0.01)


def test_too_few_words_are_an_error() -> None:
    with pytest.raises(DataError, match="there are 7 words with a confidence; wanted at least 100"):
        fit([Judged(0.5, True)] * 7)


def test_a_text_has_the_mean_of_its_words() -> None:
    words = (Word("a", 0, 1, 0.9), Word("long", 1, 2, 0.9), Word("none", 2, 3))
    found = Calibration(1.0, 0.0, 1.0).calibrated(Hypothesis("a long none", words, 0.9))
    first, second, third = (word.confidence for word in found.words)
    assert first
    assert second
    assert third is None
    assert first > second
    assert found.confidence == pytest.approx((first + second) / 2)
    assert Calibration(0.5).calibrated(Hypothesis("", (), 0.9)).confidence == 0.9
