from __future__ import annotations

import os
from pathlib import Path

import pytest

from speechxfer.errors import ConfigError
from speechxfer.transcription.inputs import Input, expand, output_paths


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings, in the current folder."""
    monkeypatch.chdir(tmp_path)
    names = ["b.wav", "a.FLAC", "deep/er/a.mp3", "deep/notes.txt", "._b.wav", ".old/c.wav", "x[1].wav"]
    for name in names:
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "calls"


def names(*inputs: str) -> list[str]:
    return [item.name for item in expand(inputs)]


def outputs(*inputs: str) -> list[str]:
    return [path.as_posix() for path in output_paths(expand(inputs), Path("out"), "txt")]


def test_folders_are_searched_for_recordings(calls: Path) -> None:
    expected = ["calls/a.FLAC", "calls/b.wav", "calls/deep/er/a.mp3", "calls/x[1].wav"]
    assert names("calls") == names("./calls/") == expected
    assert names(".") == expected
    assert names(str(calls)) == [str(calls.parent / name) for name in expected]


def test_a_named_file_is_taken_whatever_it_is_called(calls: Path) -> None:
    assert names("calls/deep/notes.txt", "calls/x[1].wav") == ["calls/deep/notes.txt", "calls/x[1].wav"]


def test_patterns(calls: Path) -> None:
    assert names("calls/[ab].*") == ["calls/a.FLAC", "calls/b.wav"]
    assert names("calls/**/*.mp3") == ["calls/deep/er/a.mp3"]
    assert names("calls/de*") == ["calls/deep/er/a.mp3"]
    assert names(f"{calls}/*.wav") == [f"{calls}/b.wav", f"{calls}/x[1].wav"]


def test_each_file_once(calls: Path) -> None:
    assert names("calls/b.wav", "calls/*.wav", str(calls / "b.wav"), "-", "-") == [
        "calls/b.wav",
        "calls/x[1].wav",
        "-",
    ]


def test_standard_input() -> None:
    assert expand(["-"]) == [Input(None, Path("stdin"))]


@pytest.mark.parametrize(
    ("name", "found"),
    [("", "no such"), ("gone/*.wav", "no such"), ("*.wav", "no such"), ("calls/empty", "holds no recordings")],
)
def test_what_matches_nothing_is_refused(calls: Path, name: str, found: str) -> None:
    (calls / "empty").mkdir()
    with pytest.raises(ConfigError, match=found):
        expand(["calls/b.wav", name])


def test_outputs_keep_the_folders_below_what_was_named(calls: Path) -> None:
    assert outputs("calls") == ["out/a.txt", "out/b.txt", "out/deep/er/a.txt", "out/x[1].txt"]
    assert outputs("calls/deep/er/a.mp3", "-") == ["out/a.txt", "out/stdin.txt"]
    assert outputs("calls/**/a.*") == ["out/a.txt", "out/deep/er/a.txt"]


def test_dots_in_names_are_kept(calls: Path) -> None:
    (calls / "2024.01.02.wav").touch()
    assert outputs("calls/2024.01.02.wav") == ["out/2024.01.02.txt"]


def test_two_inputs_for_one_output_are_refused(calls: Path) -> None:
    with pytest.raises(ConfigError, match=r"calls/a.FLAC and calls/deep/er/a.mp3 .* out/a.txt"):
        outputs("calls/a.FLAC", "calls/deep/er/a.mp3")


def test_names_that_are_no_utf8_can_be_printed() -> None:
    item = Input(Path(os.fsdecode(b"caf\xe9.wav")), Path("caf"))
    assert item.name == "caf\N{REPLACEMENT CHARACTER}.wav"
