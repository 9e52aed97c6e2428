"""From names on the command line to rows, and to lines of JSON."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.data.utterance import Utterance
from speechxfer.errors import AudioError, DataError
from speechxfer.jobs.rows import Row, count, failed, rows_of
from speechxfer.jobs.shards import line


def test_the_id_is_the_address_and_what_of_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Row.of(Utterance(audio="a.wav")).id == f"{tmp_path}/a.wav"
    excerpt = Utterance(audio="a.wav", start=1.25, duration=0.123456789, audio_stream=1, audio_channel=0)
    assert Row.of(excerpt).id == f"{tmp_path}/a.wav#stream1#channel0@1.25+0.123456789"
    assert Row.of(Utterance(audio="s3://calls/a.tar/b.wav")).id == "s3://calls/a.tar/b.wav"


def test_the_id_is_the_same_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav"}\n')
    monkeypatch.chdir(tmp_path)
    (here,) = rows_of(["m.jsonl"])
    monkeypatch.chdir(tmp_path / "below")
    (there,) = rows_of([f"{tmp_path}/m.jsonl"])
    assert here.id == there.id


def test_manifests_and_recordings_side_by_side(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(1600, np.float32), 16_000)
    (tmp_path / "m.csv").write_text("audio,text\nx.wav,one\ny.wav,two\n")
    names = [str(tmp_path / "m.csv"), str(tmp_path / "x.wav")]
    assert [(Path(row.audio).name, row.reference) for row in rows_of(names)] == [
        ("x.wav", "one"), ("y.wav", "two"), ("x.wav", None),
    ]  # fmt: skip
    assert count(names) == 4  # lines, with the first


def test_lines_that_cannot_be_used_are_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"audio": "a.wav"}\n{"audio": ""}\nno json\n{"audio": "b.wav"}\n')
    refused: list[DataError] = []
    assert len(list(rows_of([str(path)], refused=refused.append))) == 2
    assert [str(error).partition(": ")[0] for error in refused] == [f"{path}:2", f"{path}:3"]
    with pytest.raises(DataError, match=r"m\.jsonl:2"):
        list(rows_of([str(path)]))


def test_the_standard_input_has_no_address() -> None:
    with pytest.raises(DataError, match="standard input"):
        list(rows_of(["-"]))


def test_names_that_are_not_unicode_are_written_as_text() -> None:
    row = Row.of(Utterance(audio=os.fsdecode(b"/a/\xe9.wav")))
    assert json.loads(line(row.result(text="")))["id"] == row.id == "/a/\\xe9.wav"
    assert row.source.key == os.fsdecode(b"/a/\xe9.wav")


def test_errors_are_one_line_with_their_kind_unless_they_are_ours() -> None:
    row = Row("a", "a")
    assert failed(row, AudioError("a: torn"))["error"] == "a: torn"
    assert failed(row, ValueError("x\ny"))["error"] == "ValueError: x\\ny"
