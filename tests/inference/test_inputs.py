from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.audio import blocks
from speechxfer.errors import AudioError, ConfigError, printable
from speechxfer.inference.inputs import Input, expand, output_paths
from speechxfer.sources import AudioSource


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
    return [item.name for item in expand(inputs).recordings]


def outputs(*inputs: str) -> list[str]:
    return [path.as_posix() for path in output_paths(expand(inputs).recordings, Path("out"), "txt")]


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
    assert expand(["-"]).recordings == [Input(None, Path("stdin"))]


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
    (calls / "deep" / "b.wav").touch()
    with pytest.raises(ConfigError, match=r"calls/b.wav and calls/deep/b.wav .* out/b.wav.txt"):
        outputs("calls/b.wav", "calls/deep/b.wav")


def test_a_folder_names_what_it_leaves_out(calls: Path) -> None:
    (calls / "deep" / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    (calls / "table.csv").write_text("a,b\n")
    found = expand(["calls", "calls/deep"])
    assert found.skipped == [Path("calls/deep/cover.jpg")]
    assert expand(["calls", "calls/deep/cover.jpg"]).skipped == []  # it was asked for


def test_recordings_that_differ_in_their_suffix_keep_it(calls: Path) -> None:
    (calls / "b.mp3").touch()
    assert outputs("calls")[:4] == ["out/a.txt", "out/b.mp3.txt", "out/b.wav.txt", "out/deep/er/a.txt"]


@pytest.mark.parametrize("name", ["...", "..wav", "-x.wav", "no suffix", "a\nb.wav", "😀.wav", " .wav", "a..wav"])
def test_odd_names_have_outputs_in_the_folder(calls: Path, name: str) -> None:
    (calls / name).touch()
    (output,) = outputs(f"calls/{name}")
    assert output.startswith("out/")
    assert output.endswith(".txt")
    assert "/" not in output.removeprefix("out/")


def test_names_of_any_length_have_outputs_that_can_be_written(tmp_path: Path, calls: Path) -> None:
    for stem in ("x" * 251, "x" * 250 + "y", "é" * 125, os.fsdecode(b"\xe9" * 251)):
        (calls / f"{stem}.wav").touch()
    found = output_paths(expand(["calls"]).recordings, tmp_path, "json")
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert len(set(found)) == len(found) == 8
    assert all(path.suffix == ".json" for path in found)


@pytest.mark.parametrize("how", ["itself", "link", "hard link", "folder by a link"])
def test_an_output_that_is_an_input_is_refused(calls: Path, how: str) -> None:
    talk, out = calls / "talk.txt", calls.parent / "out"
    talk.write_bytes(b"sound")
    if how == "folder by a link":
        out.symlink_to(calls)
    elif how != "itself":
        out.mkdir()
        target = out / talk.name
        target.symlink_to(talk) if how == "link" else target.hardlink_to(talk)
    with pytest.raises(ConfigError, match=r"talk\.txt, the transcript of .*talk\.txt, would replace the recording"):
        output_paths(expand([str(talk)]).recordings, calls if how == "itself" else out, "txt")


def test_an_output_that_is_another_input_is_refused(calls: Path) -> None:
    (calls / "deep" / "b.txt").write_bytes(b"sound")
    named = expand(["calls/b.wav", "calls/deep/b.txt"]).recordings
    outside = [named[0], Input(named[1].path, Path("other.txt"))]
    with pytest.raises(ConfigError, match=r"deep/b\.txt, the transcript of calls/b\.wav, would replace"):
        output_paths(outside, calls / "deep", "txt")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"sound",))
    writer.start()
    source = expand([str(pipe)]).recordings[0].source()
    assert isinstance(source, AudioSource)
    assert [source.contents(), source.contents()] == [b"sound"] * 2
    writer.join()


def test_a_closed_standard_input_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(AudioError, match="the standard input is closed"):
        list(blocks(expand(["-"]).recordings[0].source()))


def test_bytes_that_are_not_utf8_are_escaped_in_names() -> None:
    assert Input(Path(os.fsdecode(b"caf\xe9.wav")), Path("caf")).name == "caf\\xe9.wav"


def test_what_is_printed_stays_on_its_line() -> None:
    text = os.fsdecode(b"caf\xe9") + "\n\x1b[2J\u2028 é 😀 a\u200cb"
    assert printable(text) == "caf\\xe9\\n\\x1b[2J\\u2028 é 😀 a\u200cb"


@given(st.text())
def test_what_is_printed_can_be_encoded_and_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
