"""Recordings one after the other: whatever happens to one, the others are done and nothing is lost."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from speechxfer.cli.batch import RecordingProgress, for_each, write_each
from speechxfer.errors import AudioError, ConfigError, StorageError
from speechxfer.inference.inputs import Input

INPUTS = [Input(Path(name), Path(name)) for name in ("a.wav", "b.wav", "c.wav")]


def raising(error: BaseException, *, at: str = "b.wav") -> Callable[..., str]:
    """Does its work with every input but one."""

    def work(item: Input, _result: str = "") -> str:
        if item.name == at:
            raise error
        return item.name.upper()

    return work


def run(work: Callable[..., str]) -> tuple[list[str], int]:
    """What was written, and the exit status."""
    written: list[str] = []

    def everything() -> None:
        for_each(INPUTS, work, lambda _item, result: written.append(result))
        sys.exit(0)

    with pytest.raises(SystemExit) as exits:
        everything()
    return written, int(exits.value.code or 0)


def test_all_are_done_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyError(), at="")) == (["A.WAV", "B.WAV", "C.WAV"], 0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AudioError("b.wav: is silent"), "Error: b.wav: is silent"),
        (AudioError("<bytes>: is empty"), "Error: b.wav: <bytes>: is empty"),
        (AudioError("b.wav: two\nlines"), "Error: b.wav: two\\nlines"),
        (MemoryError(), "Error: b.wav: MemoryError: no reason given ("),
        (RuntimeError("CUDA out of memory"), "Error: b.wav: RuntimeError: CUDA out of memory ("),
        (RecursionError("maximum depth"), "Error: b.wav: RecursionError: maximum depth ("),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), "Error: b.wav: UnicodeEncodeError: "),
        (OSError(errno.EIO, "Input/output error"), "Error: b.wav: OSError: [Errno 5] Input/output error ("),
        (AssertionError("wrong\nhere"), "Error: b.wav: AssertionError: wrong\\nhere ("),
    ],
)
def test_whatever_one_raises_the_others_are_done(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error)) == (["A.WAV", "C.WAV"], 1)
    first, *summary = capsys.readouterr().err.splitlines()
    assert first.startswith(line)
    assert summary == ["1 of 3 recordings failed:", "  b.wav"]


@pytest.mark.parametrize("error", [StorageError("out/b.txt: a folder"), PermissionError(errno.EACCES, "denied")])
def test_a_result_that_cannot_be_written_stops_nothing(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def write(item: Input, _result: str) -> None:
        raising(error)(item)
        done.append(item.name)

    with pytest.raises(SystemExit):
        for_each(INPUTS, raising(KeyError(), at=""), write)
    assert done == ["a.wav", "c.wav"]
    assert "1 of 3 recordings failed:\n  b.wav\n" in capsys.readouterr().err


def test_wrong_options_end_it_at_once() -> None:
    with pytest.raises(ConfigError):
        run(raising(ConfigError("language 'xx'"), at="a.wav"))


def test_ctrl_c_keeps_what_is_done_and_lists_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyboardInterrupt())) == (["A.WAV"], 130)
    assert capsys.readouterr().err == "Interrupted\n2 of 3 recordings not done:\n  b.wav\n  c.wav\n"


def test_one_recording_needs_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        for_each(INPUTS[1:2], raising(AudioError("b.wav: is silent")), lambda _item, _result: None)
    assert capsys.readouterr().err == "Error: b.wav: is silent\n"


def test_a_terminal_sees_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"[a]\n\xe9.wav")
    sf.write("a.wav", np.zeros(16_000), 16_000)
    with RecordingProgress([INPUTS[0], Input(Path(name), Path(name))]) as progress:
        progress(0, 0.5)
        progress(1, 0.5)
        with progress.hidden():
            sys.stdout.write("text")
        progress(1, 0.7)
    captured = capsys.readouterr()
    assert "[a]\\n\\xe9.wav" in captured.err
    assert captured.out == "text"


def test_elsewhere_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with RecordingProgress(INPUTS) as progress:
        progress(0, 0.5)
        with progress.hidden():
            pass
    assert capsys.readouterr().err == ""


def test_results_that_come_together_are_written_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []
    results = iter(["A", AudioError("b.wav: ends early"), "C"])
    with pytest.raises(SystemExit, match="1"):
        write_each(INPUTS, results, lambda item, result: written.append(f"{item.name} {result}"))
    assert written == ["a.wav A", "c.wav C"]
    assert capsys.readouterr().err.startswith("Error: b.wav: ends early\n1 of 3")
