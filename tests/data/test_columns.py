"""What columns may be called, and what may stand in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from speechxfer.data import columns
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import DataError


def one(folder: Path, **row: Any) -> Utterance:
    path = folder / "m.jsonl"
    path.write_text(json.dumps({"audio": "a.wav"} | row))
    return Manifest.read(path)[0]


@pytest.mark.parametrize(
    "header", ["File Name; Text ", "file_name,transcription", "wav,sentence", "Audio-Filepath,TEXT", "path,transcript"]
)
def test_names_of_columns(tmp_path: Path, header: str) -> None:
    (tmp_path / "m.csv").write_text(f"{header}\n" + ("a.wav;yes" if ";" in header else "a.wav,yes"))
    (utterance,) = Manifest.read(tmp_path / "m.csv")
    assert (utterance.audio, utterance.text, utterance.extra) == ("a.wav", "yes", {})


def test_of_other_names_the_first_counts_and_none_beside_our_own(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("audio,raw_transcription,transcription\na.wav,Yes!,yes\nb.wav,No!,\n")
    first, second = Manifest.read(tmp_path / "m.csv")
    assert (first.text, first.extra) == ("yes", {"raw_transcription": "Yes!"})
    assert second.text is None  # a name counts for the whole table
    assert one(tmp_path, text="yes", transcript="Yes").extra == {"transcript": "Yes"}
    with pytest.raises(DataError, match="Text and sentence both mean the text; wanted one of them"):
        one(tmp_path, Text="a", sentence="b")


@pytest.mark.parametrize(
    ("row", "start", "duration"),
    [
        ({"start": 0.5, "end": 1.75}, 0.5, 1.25),
        ({"end": 2}, 0.0, 2.0),
        ({"start": "00:00:01.5", "end": "1:02,25"}, 1.5, 60.75),
        ({"start": "01:00:00", "duration": "1.50"}, 3600.0, 1.5),
        ({"offset": 1, "duration": 2, "end": 3.001}, 1.0, 2.0),
        ({"start": "nan", "duration": "N/A", "end": "None"}, 0.0, None),
    ],
)
def test_times(tmp_path: Path, row: dict[str, Any], start: float, duration: float | None) -> None:
    utterance = one(tmp_path, **row)
    assert (utterance.start, utterance.duration) == (start, duration)
    Manifest([utterance]).write(tmp_path / "o.jsonl")
    again = Manifest.read(tmp_path / "o.jsonl")[0]
    assert (again.start, again.duration, again.extra) == (start, duration, {})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start": 1, "end": 1}, r"m\.jsonl:1: end is 1, not after the start at 1 s"),
        ({"start": 1, "duration": 1, "end": 3}, r"m\.jsonl:1: end is 3, but start and duration end at 2 s; correct"),
        ({"end": -1}, r"m\.jsonl:1: end is -1; wanted a number of seconds, more than 0"),
        ({"start": "soon"}, r'm\.jsonl:1: start is "soon"; wanted a number of seconds, at least 0'),
        ({"label": True}, r"m\.jsonl:1: label is true; wanted a string"),
        ({"label": ["a|b"]}, r"m\.jsonl:1: label holds 'a\|b'; wanted names without '\|'"),
    ],
)
def test_values_that_cannot_be_used(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        one(tmp_path, **row)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("yes ", "yes"),
        ("\u00a0a  b", "a b"),
        ("cafe\u0301", "caf\u00e9"),
        (3, "3"),
        (3.0, "3"),  # an integer in a column of pandas where another one is missing
        (0.5, "0.5"),
        (float("nan"), None),
        ("nan", None),
        ("none", "none"),
        (["dog", "cat "], "dog|cat"),
        ([0, 1], "0|1"),
        ([], ""),
        ('["dog", "cat"]', "dog|cat"),
        ("['dog']", "dog"),
        ("[noise]", "[noise]"),
    ],
)
def test_labels(tmp_path: Path, written: Any, label: str | None) -> None:
    assert one(tmp_path, label=written).label == label


def test_a_word_that_pandas_writes_for_nothing_is_a_text_and_no_speaker(tmp_path: Path) -> None:
    utterance = one(tmp_path, text="nan", speaker="nan")
    assert (utterance.text, utterance.speaker) == ("nan", None)


def test_audio_as_datasets_writes_it(tmp_path: Path) -> None:
    assert one(tmp_path, audio={"path": "b.wav", "bytes": None}).audio == "b.wav"


def test_names_are_compared_without_case_and_spaces() -> None:
    assert columns.plain(" File  Name") == columns.plain("file-name") == "file_name"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_an_utterance_of_no_class_stays_one(tmp_path: Path, suffix: str) -> None:
    Manifest([one(tmp_path, label=[]), one(tmp_path)]).write(tmp_path / f"o{suffix}")
    assert [again.label for again in Manifest.read(tmp_path / f"o{suffix}")] == ["", None]
