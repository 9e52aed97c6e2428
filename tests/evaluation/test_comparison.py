"""Two systems on the same utterances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.errors import DataError
from speechxfer.evaluation.comparison import Comparison, compare_systems
from speechxfer.evaluation.results import compare

BASIC = TextNormalizer("basic")
TEXTS = ["one two", "three", "", "four five six", "seven", "eight nine"]


def manifest(texts: Sequence[str] = TEXTS, speakers: Sequence[str] = ()) -> Manifest:
    return Manifest(
        (
            Utterance(
                audio=f"{number // 2}.wav",
                start=float(number % 2),
                duration=1.0,
                text=text,
                label=text[:1] or "-",
                speaker=speakers[number] if speakers else None,
                origin=f"test.jsonl:{number + 1}",
            )
            for number, text in enumerate(texts)
        ),
        Path("test.jsonl"),
    )


def systems(first: Sequence[str], second: Sequence[str], data: Manifest | None = None) -> Comparison:
    data = data or manifest()
    sides = [compare(data, [Hypothesis(text) for text in texts], BASIC) for texts in (first, second)]
    return compare_systems(("A", "B"), sides[0], sides[1])


# Comparisons


def test_the_verdict_names_who_is_better_and_by_how_much() -> None:
    texts = [f"word{number} again and again" for number in range(60)]
    worse = [text.replace("and", "hand") if number % 2 else text for number, text in enumerate(texts)]
    found = systems(worse, texts, manifest(texts))
    assert found.second_is == "better"
    assert found.verdict().startswith("B is better than A: WER 0.125 -> 0.000, difference -0.125 [")
    assert found.verdict().endswith(", p = 0.001.")  # of 2000 draws none says otherwise
    assert (found.wins, found.losses) == (30, 0)
    assert systems(texts, worse, manifest(texts)).verdict().startswith("B is worse than A: WER 0.000 -> 0.125")
    assert "B has fewer errors in 30 utterances, more in 0, as many in 30" in found.summary()


def test_no_difference_is_reported_as_none_shown() -> None:
    texts = ["a b c d"] * 40
    first = ["a b c x"] * 4 + texts[4:]
    second = texts[:-4] + ["a b c x"] * 4
    found = systems(first, second, manifest(texts))
    assert found.second_is == "same"
    assert found.verdict().startswith("No difference shown: WER 0.025 -> 0.025, difference +0.000 [")
    assert "shows differences of about 0.0" in found.verdict()
    assert systems(first, first, manifest(texts)).verdict() == (
        "No difference: both have as many errors in every single utterance."
    )


def test_a_handful_of_differing_utterances_shows_nothing() -> None:
    """All five improve, which chance does once in sixteen times; the interval alone would call it certain."""
    texts = ["a b c d"] * 80
    found = systems(["x x x x"] * 5 + texts[5:], texts, manifest(texts))
    assert found.bootstrap is not None
    assert found.bootstrap.high < 0
    assert found.second_is == "same"
    assert found.verdict().endswith("but only 5 utterances differ; wanted at least 6.")
    assert systems(["x x x x"] * 6 + texts[6:], texts, manifest(texts)).second_is == "better"


def test_a_handful_of_utterances_gives_no_verdict() -> None:
    found = systems(["one too"], ["one two"], manifest(["one two"]))
    assert (found.second_is, found.bootstrap, found.matched_pairs) == ("unknown", None, None)
    assert found.verdict() == "No verdict: 1 utterance is too few to resample; wanted at least 5."
    assert json.loads(json.dumps(found.to_dict()))["second"]["rate"] == 0.0


def test_what_made_the_difference_comes_first() -> None:
    found = systems(TEXTS, ["one too", "three", "", "x y z", "seven", "eight"])
    assert [one.utterance.origin for one in found.differing] == ["test.jsonl:4", "test.jsonl:1", "test.jsonl:6"]
    assert found.rows(1) == [("0", "3", "four five six", "four five six", "x y z")]
    assert [one["second_errors"] for one in found.to_dict(2)["differing"]] == [3, 1]


def test_speakers_are_drawn_together_and_the_other_test_says_what_it_assumes() -> None:
    texts = ["a b c d"] * 50
    data = manifest(texts, [str(number % 5) for number in range(50)])
    found = systems(["a x c d", *texts[1:]], texts, data)
    assert found.bootstrap is not None
    assert (found.bootstrap.unit, found.bootstrap.count) == ("speaker", 5)
    assert "as if a speaker's utterances were independent" in found.summary()


def test_other_utterances_do_not_compare() -> None:
    one, two = (compare(data, [Hypothesis("x")] * len(data), BASIC) for data in (manifest(), manifest()[:4]))
    with pytest.raises(DataError, match="A has 6 results, B 4; wanted results for the same utterances"):
        compare_systems(("A", "B"), one, two)


def test_transcripts_and_classes_do_not_compare() -> None:
    sides = [
        compare(manifest(["x"]), [one], BASIC) for one in (Hypothesis("x"), Classification(("x", "y"), (1.0, 0.0)))
    ]
    with pytest.raises(DataError, match=r"a.jsonl holds transcripts, b.jsonl holds classes"):
        compare_systems(("a.jsonl", "b.jsonl"), sides[0], sides[1])
