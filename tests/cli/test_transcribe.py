from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from speechxfer.cli.transcribe import transcribe
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import AudioError, ConfigError, DiskFullError
from speechxfer.inference import Segment, Transcript
from speechxfer.inference.inputs import identity
from speechxfer.sources import AudioSource
from speechxfer.storage import write_text


class FakeModel:
    """Says what it was loaded and called with; a file that holds `bad` is no sound to it."""

    name = ""

    @classmethod
    def load(cls, name: str, *, device: str, language: str | None) -> FakeModel:
        if name == "missing":
            raise ConfigError("no such model")
        model = cls()
        model.name = f"{name}/{device}"
        return model

    def checked(self, options: DecodingOptions) -> DecodingOptions:
        return options

    def transcribe_many(
        self, audios: Iterable[Path | AudioSource], *, options: DecodingOptions, vad: str, **_arguments: Any
    ) -> Iterator[Transcript | Exception]:
        for source in audios:
            content = source.contents() if isinstance(source, AudioSource) else source.read_bytes()
            assert isinstance(content, bytes)
            text = f"{self.name} {options.language} {content.decode()}"
            if content == b"bad":
                yield AudioError(f"{source!s}: not readable")
            else:
                yield Transcript(text, (Segment(0.0, 1.0, text),), 1.0)

    def transcribe_segments(self, audio: Path | AudioSource, **arguments: Any) -> Iterator[Segment]:
        (found,) = self.transcribe_many([audio], **arguments)
        if isinstance(found, Exception):
            raise found
        words = found.text.split(" ")
        yield from (Segment(0.0, 1.0, word) for word in words)


@pytest.fixture(autouse=True)
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechxfer.api.loading.load", FakeModel.load)
    monkeypatch.chdir(tmp_path)
    for name, content in {"a.wav": "one", "b.wav": "two", "deep/a.wav": "three"}.items():
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(transcribe, ["m", *arguments], input=stdin)


def test_one_input_prints_its_transcript() -> None:
    result = run("calls/a.wav", "--language", "de", "--device", "cpu")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "m/cpu de one\n", "")


def test_a_single_transcript_is_printed_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_arguments: Any, **_options: Any) -> Iterator[Segment]:
        yield Segment(0.0, 1.0, "first")
        yield Segment(1.0, 2.0, "second")
        raise AudioError("calls/a.wav: ends early")

    monkeypatch.setattr(FakeModel, "transcribe_segments", torn)
    result = run("calls/a.wav")
    assert (result.exit_code, result.stdout) == (1, "first second\n")
    assert result.stderr == "Error: calls/a.wav: ends early\n"


def test_the_detector_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(FakeModel, "transcribe_segments", lambda *_, vad, **_options: chosen.append(vad) or iter(()))
    assert run("calls/a.wav").exit_code == run("calls/a.wav", "--vad", "energy").exit_code == 0
    assert chosen == ["auto", "energy"]
    assert run("calls/a.wav", "--vad", "loud").exit_code == 2


def test_how_many_recordings_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int | None] = []
    original = FakeModel.transcribe_many

    def transcribe_many(self: FakeModel, *arguments: Any, workers: int | None, **options: Any) -> Any:
        chosen.append(workers)
        return original(self, *arguments, **options)

    monkeypatch.setattr(FakeModel, "transcribe_many", transcribe_many)
    assert run("calls").exit_code == 0
    assert run("calls", "--workers", "3").exit_code == 0
    assert chosen == [None, 3]
    assert run("calls", "--workers", "-1").exit_code == 2


def test_standard_input() -> None:
    assert run("-", stdin=b"bytes").stdout == "m/auto None bytes\n"


def test_several_inputs_print_a_line_each() -> None:
    assert run("calls/*.wav").stdout == "calls/a.wav: m/auto None one\ncalls/b.wav: m/auto None two\n"


def test_several_inputs_as_json_print_an_object_each() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in run("calls", "--format", "json").stdout.splitlines()]
    assert [line["source"] for line in lines] == ["calls/a.wav", "calls/b.wav", "calls/deep/a.wav"]


@pytest.mark.parametrize("name", ["srt", "vtt", "tsv", "TextGrid", "eaf"])
def test_several_inputs_as_subtitles_need_a_folder(name: str) -> None:
    result = run("calls", "--format", name)
    assert result.exit_code == 2
    assert "--output-dir" in result.stderr
    assert run("calls/a.wav", "--format", name).exit_code == 0


def test_files_of_praat_and_elan() -> None:
    for name in ("textgrid", "EAF"):
        assert run("calls/a.wav", "--output-dir", "out", "--format", name).exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.TextGrid", "a.eaf"]
    assert "file://" in Path("out/a.eaf").read_text()


def test_limits_of_subtitles() -> None:
    limits = ("--line-length", "8", "--lines", "1", "--characters-per-second", "20")
    lines = run("calls/a.wav", "--format", "vtt", *limits).stdout.splitlines()
    assert [line for line in lines[1:] if line and "-->" not in line] == ["m/auto", "None one"]
    result = run("calls/a.wav", "--lines", "1")
    assert (result.exit_code, "--format srt or vtt" in result.stderr) == (2, True)
    result = run("calls/a.wav", "--format", "vtt", "--lines", "0")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith("lines is 0; wanted ")


def test_files_are_written_in_the_folders_they_came_from() -> None:
    result = run("calls", "--output-dir", "out", "--format", "srt")
    assert (result.exit_code, result.output) == (0, "")
    written = sorted(path.as_posix() for path in Path("out").rglob("*") if path.is_file())
    assert written == ["out/a.srt", "out/b.srt", "out/deep/a.srt"]
    assert Path("out/deep/a.srt").read_text().endswith("three\n")


def test_colliding_outputs_are_refused_before_any_work() -> None:
    result = run("calls/a.wav", "calls/deep/a.wav", "--output-dir", "out")
    assert isinstance(result.exception, ConfigError)
    assert not Path("out").exists()


def test_a_bad_file_does_not_stop_the_others() -> None:
    Path("calls/a.wav").write_text("bad")
    result = run("calls/*.wav")
    assert result.exit_code == 1
    assert result.stdout == "calls/b.wav: m/auto None two\n"
    assert result.stderr == "Error: calls/a.wav: not readable\n1 of 2 recordings failed:\n  calls/a.wav\n"


def test_a_transcript_that_cannot_be_written_does_not_stop_the_others() -> None:
    Path("out/a.txt").mkdir(parents=True)
    result = run("calls", "--output-dir", "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: out/a.txt: could not be written")
    assert Path("out/b.txt").read_text() == "m/auto None two\n"
    assert [path.name for path in Path("out").iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_ends_the_batch_and_what_is_missing_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _text: str) -> None:
        if path.name == "b.txt":
            raise DiskFullError(f"{path}: could not be written (No space left on device)")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("done")

    monkeypatch.setattr("speechxfer.cli.transcribe.write_text", full)
    result = run("calls", "--output-dir", "out")
    assert result.exit_code == 1
    assert [path.name for path in Path("out").iterdir()] == ["a.txt"]
    assert result.stderr == (
        "Error: out/b.txt: could not be written (No space left on device)\n"
        "2 of 3 recordings not done:\n  calls/b.wav\n  calls/deep/a.wav\n"
    )


def test_existing_transcripts_are_skipped_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out").mkdir()
    Path("out/a.txt").write_text("old")
    result = run("calls", "--output-dir", "out", "--skip-existing")
    assert (result.exit_code, result.stderr) == (0, "1 of 3 transcripts exist already\n")
    assert [Path("out", name).read_text() for name in ("a.txt", "b.txt")] == ["old", "m/auto None two\n"]
    monkeypatch.delattr(FakeModel, "load")  # nothing is left to do
    assert run("calls", "--output-dir", "out", "--skip-existing").exit_code == 0
    assert run("calls", "--skip-existing").exit_code == 2


def test_an_output_never_replaces_another_of_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def lower(path: Path) -> Path:
        """What a path leads to where the case of letters does not count."""
        return path.with_name(path.name.lower())

    monkeypatch.setattr("speechxfer.cli.transcribe.identity", lambda path: identity(lower(path)))
    monkeypatch.setattr("speechxfer.cli.transcribe.write_text", lambda path, text: write_text(lower(path), text))
    Path("calls/A.wav").write_text("one more")
    result = run("calls/A.wav", "calls/a.wav", "--output-dir", "out")
    assert result.exit_code == 1
    assert "Error: out/a.txt: would replace out/A.txt, which was written for another recording" in result.stderr
    assert Path("out/a.txt").read_text() == "m/auto None one more\n"


def test_a_recording_is_never_replaced() -> None:
    Path("talk.txt").write_text("sound")
    result = run("talk.txt", "--output-dir", ".")
    assert isinstance(result.exception, ConfigError)
    assert Path("talk.txt").read_text() == "sound"


def test_files_without_sound_are_named() -> None:
    Path("calls/cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    result = run("calls")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 3)
    assert result.stderr == "skipped calls/cover.jpg: no sound in them\n"


def test_names_of_any_kind(tmp_path: Path) -> None:
    odd = ["-x.wav", "...", "..wav", "a\nb.wav", "😀.wav", os.fsdecode(b"caf\xe9.wav"), "x" * 251 + ".wav"]
    for name in odd:
        Path(tmp_path, name).write_text("word")
    result = run("--output-dir", "out", "--format", "json", "--", *odd)
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(list(Path("out").iterdir())) == len(odd)
    sources = {json.loads(path.read_text())["source"] for path in Path("out").iterdir()}
    assert sources == {*odd[:5], "caf\\xe9.wav", odd[6]}
    printed = run("--", *odd).stdout.splitlines()
    assert len(printed) == len(odd)
    assert "a\\nb.wav: m/auto None word" in printed


def test_errors_of_no_single_file_stop_everything() -> None:
    assert isinstance(run("gone/*.wav").exception, ConfigError)
    result = CliRunner().invoke(transcribe, ["missing", "calls"])
    assert isinstance(result.exception, ConfigError)


def test_inputs_are_wanted() -> None:
    assert run().exit_code == 2
