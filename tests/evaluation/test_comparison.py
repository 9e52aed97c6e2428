"""Files of hypotheses and what two of them say of two systems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation.comparison import Comparison, compare_systems
from speechxfer.evaluation.hypotheses import Hypotheses, read_hypotheses, write_hypotheses, wrong_label
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


def written(folder: Path, name: str, texts: Sequence[str], data: Manifest) -> Path:
    write_hypotheses(folder / name, compare(data, [Hypothesis(text) for text in texts], BASIC))
    return folder / name


def systems(first: Sequence[str], second: Sequence[str], data: Manifest | None = None) -> Comparison:
    sides = [Hypotheses(name, "transcription", tuple(texts)) for name, texts in (("A", first), ("B", second))]
    return compare_systems(data or manifest(), sides[0], sides[1], BASIC)


# Files of hypotheses


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_what_is_written_is_read_in_the_order_of_the_manifest(tmp_path: Path, suffix: str) -> None:
    texts = ["one too", "", "noise", "four five six", "Seven!", "eight nine"]
    path = written(tmp_path, f"a{suffix}", texts, manifest())
    found = read_hypotheses(path, manifest())
    assert (found.task, list(found.texts)) == ("transcription", texts)
    turned = Manifest(reversed(list(manifest())))
    assert list(read_hypotheses(path, turned).texts) == texts[::-1]


def test_rows_hold_counts(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", ["one too", "", "noise", *TEXTS[3:]], manifest(speakers=list("abcdef")))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows[1] == {
        **{"audio": "0.wav", "start": 1.0, "speaker": "b", "reference": "three", "hypothesis": ""},
        **{"words": 1, "hits": 0, "substitutions": 0, "deletions": 1, "insertions": 0},
    }
    assert (rows[2]["words"], rows[2]["insertions"]) == (0, 1)


def test_the_same_excerpt_twice_keeps_both_hypotheses(tmp_path: Path) -> None:
    one = manifest()[0]
    data = Manifest([one, one, *manifest()[1:]])
    path = written(tmp_path, "a.jsonl", ["first", "second", *TEXTS[1:]], data)
    assert read_hypotheses(path, data).texts[:2] == ("first", "second")


def test_classes_are_written_and_read(tmp_path: Path) -> None:
    data = manifest()
    labels = ("-", "e", "f", "o", "s", "t")
    says = [Classification(labels, tuple(float(label == "o") for label in labels)) for _ in data]
    write_hypotheses(tmp_path / "a.jsonl", compare(data, says, BASIC))
    found = read_hypotheses(tmp_path / "a.jsonl", data)
    assert (found.task, set(found.texts)) == ("classification", {"o"})
    right = Hypotheses("B", "classification", tuple(utterance.label or "" for utterance in data))
    comparison = compare_systems(data, found, right, BASIC)
    assert (comparison.figure, comparison.first.errors, comparison.second.errors) == ("error", 5, 0)
    assert (comparison.wins, comparison.losses) == (5, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            slice(0, 5),
            r"a.jsonl holds 5 hypotheses, test.jsonl 6 utterances; 1 have none, first test.jsonl:6 \(2.wav@1",
        ),
        (slice(0, 0), "a.jsonl: holds no hypotheses"),
    ],
)
def test_hypotheses_that_are_missing_are_told(tmp_path: Path, change: slice, told: str) -> None:
    path = written(tmp_path, "a.jsonl", TEXTS, manifest())
    path.write_text("".join(path.read_text().splitlines(keepends=True)[change]))
    with pytest.raises(DataError, match=told):
        read_hypotheses(path, manifest())


def test_hypotheses_for_other_utterances_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", TEXTS, manifest())
    with pytest.raises(DataError, match=r"holds 6 hypotheses, test.jsonl 2 utterances; 4 are of other.*a.jsonl:3"):
        read_hypotheses(path, manifest()[:2])
    with pytest.raises(DataError, match=r"a.jsonl:2 was written for 'three', but test.jsonl:2 has 'tree'"):
        read_hypotheses(path, manifest(["one two", "tree", *TEXTS[2:]]))


def test_a_table_of_hypotheses_with_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("audio;start;reference;hypothesis\n0.wav;0,0;one;\n0.wav;1,0;;two\n")
    assert read_hypotheses(tmp_path / "a.csv", manifest(["one", "two"])).texts == ("", "two")


def test_classes_are_the_same_in_any_order_and_spacing() -> None:
    assert not wrong_label("wind | rain", "rain|wind")
    assert wrong_label("wind", "rain|wind")


def test_a_start_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"audio": "0.wav", "start": "late", "hypothesis": "one"}\n')
    with pytest.raises(DataError, match=r'a.jsonl:1: start is "late"; wanted a number of seconds'):
        read_hypotheses(tmp_path / "a.jsonl", manifest(["one"]))


def test_a_file_without_hypotheses_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"audio": "0.wav", "text": "one"}\n')
    with pytest.raises(DataError, match="has the columns audio, text; wanted hypothesis, or predicted"):
        read_hypotheses(tmp_path / "a.jsonl", manifest())
    with pytest.raises(ConfigError, match="wanted a manifest"):
        read_hypotheses(tmp_path / "a.txt", manifest())


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


def test_no_difference_is_told_as_none_shown() -> None:
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
    assert found.verdict() == "No verdict: 1 utterance is too few to draw from; wanted at least 5."
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


def test_transcripts_and_classes_do_not_compare() -> None:
    sides = [Hypotheses("a.jsonl", "transcription", ("x",)), Hypotheses("b.jsonl", "classification", ("y",))]
    with pytest.raises(DataError, match=r"a.jsonl holds transcripts, b.jsonl classes"):
        compare_systems(manifest(["x"]), sides[0], sides[1], BASIC)
