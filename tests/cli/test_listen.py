"""`speechxfer listen`."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from speechxfer.audio.incoming import Incoming
from speechxfer.cli import listen as command
from speechxfer.cli import main
from speechxfer.errors import AudioError, ConfigError
from speechxfer.inference.streaming import StreamResult


class FakeStream:
    """Its text is what it has been fed."""

    def __init__(self, sample_rate: float, about: dict[str, Any]) -> None:
        self.sample_rate, self.about = sample_rate, about

    def results(self, chunks: Iterable[np.ndarray]) -> Iterator[StreamResult]:
        count = 0
        for chunk in chunks:
            count += len(chunk)
            if self.about["language"] == "interrupted":
                signal.raise_signal(signal.SIGINT)
            if self.about["partials"]:
                yield StreamResult(f"{count} perhaps", 0.0, 1.0, final=False)
        yield StreamResult(f"{count} at {self.sample_rate}", 0.0, 1.0, final=True)


class FakeModel:
    def open_stream(self, sample_rate: float, **about: Any) -> FakeStream:
        if about["vad"] == "silero":
            raise ConfigError("vad is 'silero', and silero-vad is not installed")
        return FakeStream(sample_rate, {**about, "language": about["options"].language})


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> dict[str, Incoming]:
    """What a pipe and the microphone give; both end, unless a test replaces them."""
    found = {name: Incoming(rate, 10.0) for name, rate in (("pipe", 8_000), ("microphone", 48_000))}
    for sound in found.values():
        sound.put(np.zeros((100, 1), np.float32))
    found["pipe"].end()
    monkeypatch.setattr("speechxfer.api.loading.load", lambda name, **_about: FakeModel())
    monkeypatch.setattr(command, "piped", lambda _file, _raw: found["pipe"])
    monkeypatch.setattr(command, "microphone", lambda _name: contextlib.nullcontext(found["microphone"]))
    return found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_is_terminal", lambda: True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["listen", "m", *arguments], color=True)


def test_a_pipe_gets_final_lines_only() -> None:
    result = run("-")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "100 at 8000\n", "")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_partial_results_on_a_line_that_is_written_again() -> None:
    assert run("-").stdout == "\r\x1b[K100 perhaps\r\x1b[K100 at 8000\n\r\x1b[K"


@pytest.mark.usefixtures("terminal")
def test_partial_results_can_be_left_out() -> None:
    assert run("-", "--no-partials").stdout == "\r\x1b[K100 at 8000\n\r\x1b[K"


def test_json_has_one_object_a_line() -> None:
    lines = [json.loads(line) for line in run("-", "--format", "jsonl", "--partials").stdout.splitlines()]
    assert [line["text"] for line in lines] == ["100 perhaps", "100 at 8000"]
    assert lines[1] == {
        "final": True, "start": 0.0, "end": 1.0, "text": "100 at 8000", "confidence": None, "words": [],
    }  # fmt: skip


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal's; a shell's job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_microphone_with_the_last_text() -> None:
    result = run("--language", "interrupted")
    assert (result.exit_code, result.stdout) == (0, "100 at 48000\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_wrong_is_one_line(sources: dict[str, Incoming]) -> None:
    broken = sources["pipe"] = Incoming(8_000, 10.0)
    broken.end(AudioError("<standard input>: is broken."))
    result = run("-")
    assert (result.exit_code, result.stderr) == (1, "Error: <standard input>: is broken.\n")
    result = run("-", "--vad", "silero")
    assert (result.exit_code, result.stderr) == (2, "Error: vad is 'silero', and silero-vad is not installed\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["call.wav"], "recordings are for speechxfer transcribe"),
        (["-", "--partials"], "add --format jsonl"),
        (["-", "--raw", "s16le"], "add --sample-rate"),
        (["-", "--sample-rate", "8000"], "add --raw"),
        (["--raw", "s16le", "--sample-rate", "8000"], "add - after the model"),
        (["-", "--microphone", "1"], "not both"),
        (["-", "--pause", "0"], "--pause"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_long_line_ends_at_the_edge_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    assert command._end_of("short") == "short"
    assert command._end_of("one two three") == "…wo three"
    assert command._end_of("日本語日本語") == "…語日本語"
