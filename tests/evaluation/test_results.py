"""Evaluations: figures with their intervals, and every utterance's part in them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.errors import DataError
from speechxfer.evaluation.results import Evaluation, compare, intervals_of, worst_table

BASIC = TextNormalizer("basic")


def manifest(texts: Sequence[str], speakers: Sequence[str | None] | None = None) -> Manifest:
    return Manifest(
        Utterance(audio=f"{number}.wav", text=text, label="yes", speaker=speaker)
        for number, (text, speaker) in enumerate(zip(texts, speakers or [None] * len(texts), strict=True))
    )


def evaluated(texts: Sequence[str], said: Sequence[str], speakers: Sequence[str | None] | None = None) -> Evaluation:
    return compare(manifest(texts, speakers), [Hypothesis(text) for text in said], BASIC)


def test_a_figure_comes_with_its_interval_and_how_that_was_made() -> None:
    evaluation = evaluated(["a b c", "d e", "f", "g h", "i"] * 4, ["a b x", "d e", "f", "g", "i"] * 4)
    low, high = evaluation.intervals.bounds["wer"]
    assert str(evaluation).startswith(f"WER 0.222 [{low:.3f}, {high:.3f}]  CER ")
    assert str(evaluation).endswith("(36 words: 4 substituted, 4 deleted, 0 inserted; 20 utterances; basic/2)")
    found = json.loads(json.dumps(evaluation.to_dict(1)))
    assert (found["wer"], found["normalizer"]) == (evaluation.rates.wer, "basic/2")
    assert found["intervals"]["bounds"]["wer"] == [low, high]
    assert (found["intervals"]["unit"], found["intervals"]["count"]) == ("utterance", 20)
    assert [worst["audio"] for worst in found["worst"]] == ["0.wav"]


def test_one_utterance_says_why_there_is_no_interval() -> None:
    evaluation = evaluated(["a b"], ["a"])
    assert str(evaluation).startswith("WER 0.500  CER 0.667  (")
    assert str(evaluation.intervals) == "no interval: 1 utterance is too few to resample; wanted at least 5"
    assert evaluation.to_dict()["intervals"]["note"].startswith("1 utterance is too few")


def test_the_interval_does_not_depend_on_the_order_of_results() -> None:
    speakers = [f"s{number % 6}" for number in range(18)]
    evaluation = evaluated(["a b c"] * 18, [["a b c", "a", "x"][number % 3] for number in range(18)], speakers)
    assert evaluation.intervals.unit == "speaker"
    assert intervals_of(evaluation.results[::-1]) == evaluation.intervals


def test_results_know_their_place_and_their_words() -> None:
    evaluation = evaluated(["A, b!", "c d e", ""], ["a b", "x", "y y"])
    assert [(result.place, result.errors) for result in evaluation.results] == [(1, 3), (2, 2), (0, 0)]
    assert [result.pair.reference for result in evaluation.results if result.pair] == [("c", "d", "e"), (), ("a", "b")]
    assert worst_table(evaluation.results, 5) == [("3", "c d e", "x"), ("2", "", "y y")]


def test_classes_have_an_interval_of_their_accuracy() -> None:
    says = [Classification(("no", "yes"), (float(number < 2), float(number >= 2))) for number in range(20)]
    evaluation = compare(manifest(["x"] * 20), says, BASIC)
    assert evaluation.intervals.method == "Wilson's score"
    assert str(evaluation).startswith("accuracy 0.900 [0.699, 0.972]  macro-F1 ")
    assert evaluation.to_dict()["intervals"]["bounds"]["accuracy"] == pytest.approx([0.699, 0.972], abs=1e-3)


def test_predictions_of_another_number_are_reported() -> None:
    with pytest.raises(DataError, match="1 predictions; wanted one for each"):
        compare(manifest(["a", "b"]), [Hypothesis("a")], BASIC)
