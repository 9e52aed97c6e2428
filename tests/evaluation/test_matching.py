"""Files of predictions, of this package and of others, for the utterances of a manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Word
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation import matching, results
from speechxfer.evaluation.comparison import compare_systems
from speechxfer.evaluation.matching import read_matching
from speechxfer.evaluation.predictions import read_predictions, write_predictions
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.sources import FileSource

BASIC = TextNormalizer("basic")
TEXTS = ["one two", "three", "", "four five six", "seven", "eight nine"]


def manifest(texts: Sequence[str] = TEXTS, speakers: Sequence[str] = ()) -> Manifest:
    return Manifest(
        (
            Utterance(
                audio=f"{number // 2}.wav",
                source=FileSource.of(Path(f"/data/{number // 2}.wav")),
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
    write_predictions(folder / name, compare(data, [Hypothesis(text) for text in texts], BASIC))
    return folder / name


def predicted(evaluation: Evaluation) -> list[str]:
    return [result.hypothesis for result in evaluation.in_order]


# Predictions, and the file they are written to


def test_all_that_is_known_of_an_utterance_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["one too", "", "noise", "x four five six", "Seven!", "nine eight"]
    words = (Word("one", 0.1, 0.4, 0.9), Word("too", 0.5, 0.75))
    says = [Hypothesis(texts[0], words, 0.875), *(Hypothesis(text) for text in texts[1:])]
    data = Manifest(
        replace(utterance, extra={"room": "loud", "age": number}, audio_channel=1)
        for number, utterance in enumerate(manifest(speakers=list("abcdef")))
    )
    evaluation = compare(data, says, BASIC)
    write_predictions(tmp_path / "a.jsonl", evaluation)
    monkeypatch.setattr(results, "align", None)
    found = read_predictions(tmp_path / "a.jsonl", Path("/data"))
    assert found == evaluation
    assert found.to_dict() == evaluation.to_dict()
    assert [one.pair for one in found.results] == [one.pair for one in evaluation.results]
    line = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert line["id"] == "0.wav#channel1"
    assert (line["text"], line["confidence"], line["errors"]) == ("one too", 0.875, 1)
    assert line["words"] == [{"text": "one", "start": 0.1, "end": 0.4, "confidence": 0.9}, {"text": "too", "start": 0.5, "end": 0.75}]  # fmt: skip  # noqa: E501
    assert line["alignment"] == [["one", "one"], ["two", "too"]]
    lines = [json.loads(one) for one in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[3]["alignment"] == [[None, "x"], *([word, word] for word in ("four", "five", "six"))]


def test_classes_keep_their_probabilities(tmp_path: Path) -> None:
    labels = ("-", "e", "f", "o", "s", "t")
    says = [Classification(labels, (0.0, 0.1, 0.2, 0.4, 0.2, 0.1)) for _ in manifest()]
    evaluation = compare(manifest(), says, BASIC)
    write_predictions(tmp_path / "a.jsonl", evaluation)
    found = read_predictions(tmp_path / "a.jsonl", Path("/data"))
    assert found.scores == evaluation.scores
    assert [one.prediction for one in found.in_order] == says
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["classes"]["o"] == 0.4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"version": 1, "audio": "a"}', r"a\.jsonl:1: is damaged, or no prediction \(KeyError: 'reference'\)"),
        ('{"version": 9}', r"version 9; this version of speechxfer reads 1"),
        ("", "holds no predictions"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"{line}\n")
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "a.jsonl", tmp_path)


# Matched with a manifest


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_what_is_written_is_read_in_the_order_of_the_manifest(tmp_path: Path, suffix: str) -> None:
    texts = ["one too", "", "noise", "four five six", "Seven!", "eight nine"]
    path = written(tmp_path, f"a{suffix}", texts, manifest())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "align", None)
        assert predicted(read_matching(path, manifest(), BASIC)) == texts
        turned = Manifest(reversed(list(manifest())))
        assert predicted(read_matching(path, turned, BASIC)) == texts[::-1]


def test_another_normalizer_aligns_again(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", ["One two", *TEXTS[1:]], manifest())
    assert read_matching(path, manifest(), BASIC).rates.wer == 0
    assert read_matching(path, manifest(), TextNormalizer("none")).rates.substitutions == 1


def test_the_same_excerpt_twice_keeps_both_predictions(tmp_path: Path) -> None:
    one = manifest()[0]
    data = Manifest([one, one, *manifest()[1:]])
    path = written(tmp_path, "a.jsonl", ["first", "second", *TEXTS[1:]], data)
    assert predicted(read_matching(path, data, BASIC))[:2] == ["first", "second"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_classes_are_written_and_read(tmp_path: Path, suffix: str) -> None:
    data = manifest()
    labels = ("-", "e", "f", "o", "s", "t")
    says = [Classification(labels, tuple(float(label == "o") for label in labels)) for _ in data]
    write_predictions(tmp_path / f"a{suffix}", compare(data, says, BASIC))
    found = read_matching(tmp_path / f"a{suffix}", data, BASIC)
    assert set(predicted(found)) == {"o"}
    others = [{"audio": one.audio, "start": one.start, "predicted": one.label} for one in data]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(one) + "\n" for one in others))
    comparison = compare_systems(("A", "B"), found, read_matching(tmp_path / "b.jsonl", data, BASIC))
    assert (comparison.figure, comparison.first.errors, comparison.second.errors) == ("error", 5, 0)
    assert (comparison.wins, comparison.losses) == (5, 0)


def test_several_classes_are_the_same_in_any_order_and_spacing(tmp_path: Path) -> None:
    data = Manifest(replace(one, label="wind|rain") for one in manifest())
    said = ["rain | wind", "wind|rain", "wind", "", "snow", "rain|wind|snow"]
    rows = [{"audio": one.audio, "start": one.start, "predicted": text} for one, text in zip(data, said, strict=True)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_matching(tmp_path / "a.jsonl", data, BASIC)
    assert [result.errors for result in found.in_order] == [0, 0, 1, 2, 3, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            slice(0, 5),
            r"a.jsonl holds 5 hypotheses, test.jsonl 6 utterances; 1 have none, first test.jsonl:6 \(2.wav@1",
        ),
        (slice(0, 0), "a.jsonl: holds no hypotheses"),
    ],
)
def test_predictions_that_are_missing_are_named(tmp_path: Path, change: slice, message: str) -> None:
    path = written(tmp_path, "a.jsonl", TEXTS, manifest())
    path.write_text("".join(path.read_text().splitlines(keepends=True)[change]))
    for read in (lambda: read_matching(path, manifest(), BASIC), lambda: matching.check_matching(path, manifest())):
        with pytest.raises(DataError, match=message):
            read()


def test_predictions_for_other_utterances_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", TEXTS, manifest())
    with pytest.raises(DataError, match=r"holds 6 hypotheses, test.jsonl 2 utterances; 4 are of other.*a.jsonl:3"):
        read_matching(path, manifest()[:2], BASIC)
    with pytest.raises(DataError, match=r"a.jsonl:2 was written for 'three', but test.jsonl:2 has 'tree'"):
        read_matching(path, manifest(["one two", "tree", *TEXTS[2:]]), BASIC)


def test_a_table_of_hypotheses_with_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("audio;start;reference;hypothesis\n0.wav;0,0;one;\n0.wav;1,0;;two\n")
    assert predicted(read_matching(tmp_path / "a.csv", manifest(["one", "two"]), BASIC)) == ["", "two"]


def test_a_start_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"audio": "0.wav", "start": "late", "hypothesis": "one"}\n')
    with pytest.raises(DataError, match=r'a.jsonl:1: start is "late"; wanted a number of seconds'):
        read_matching(tmp_path / "a.jsonl", manifest(["one"]), BASIC)


def test_a_file_without_predictions_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"audio": "0.wav", "text": "one"}\n')
    with pytest.raises(DataError, match="has the columns audio, text; wanted hypothesis, or predicted"):
        read_matching(tmp_path / "a.jsonl", manifest(["one"]), BASIC)
    with pytest.raises(ConfigError, match="wanted a manifest"):
        read_matching(tmp_path / "a.txt", manifest(), BASIC)
