"""Utterances from annotations: tiers by name, recordings beside files, times that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.data.annotations.excerpts import Excerpt, annotated_excerpts
from speechxfer.data.annotations.media import recording_of
from speechxfer.data.annotations.tiers import Media
from speechxfer.errors import DataError
from tests.data.annotations.test_elan import EAF
from tests.data.annotations.test_textgrid import LONG


def sound(path: Path, duration_s: float = 4.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(duration_s * 16_000)), 16_000, format="WAV")
    return path


def collected(messages: list[str]) -> Callable[[str, str], None]:
    return lambda message, _kind: messages.append(message)


def silent(_message: str, _kind: str) -> None: ...


@pytest.fixture
def elan(tmp_path: Path) -> Path:
    sound(tmp_path / "a b.wav")
    path = tmp_path / "a.eaf"
    path.write_text(EAF)
    return path


def test_several_tiers_are_speakers(elan: Path) -> None:
    recording, found = annotated_excerpts(elan, ("A-text", "B"), silent)
    assert recording == elan.with_name("a b.wav")
    assert found == [
        Excerpt(1.0, 1.2, "one two three", "Anna", f"{elan}:34"),
        Excerpt(1.1, 1.5, "yes", "B", f"{elan}:39"),
    ]


def test_patterns_name_tiers(elan: Path) -> None:
    _, found = annotated_excerpts(elan, ("*-words",), silent)
    assert [(one.text, one.speaker) for one in found] == [("one", "Anna"), ("two", "Anna"), ("three", "Anna")]


def test_the_only_tier_needs_no_name(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "a.TextGrid").write_text(LONG)
    _, found = annotated_excerpts(tmp_path / "a.TextGrid", (), silent)
    assert [(one.start, one.duration, one.speaker) for one in found] == [(0.5, 0.75, None), (1.25, 1.25, None)]


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        (
            (),
            r"a\.eaf: has several tiers; choose with --tier NAME from 'A-words' \(3\), 'A-gloss' \(3\), .*",
        ),
        (("A-text", "C"), r"a\.eaf: has no tier 'C'; wanted one of 'A-words' \(3\), .*'B' \(1\), 'empty' \(0\)"),
        (("empty",), r"a\.eaf: no text at a time within .*a b\.wav"),
    ],
)
def test_tiers_that_cannot_be_used(elan: Path, tiers: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        annotated_excerpts(elan, tiers, silent)


def test_points_are_no_utterances(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    (tmp_path / "a.TextGrid").write_text(LONG)
    with pytest.raises(DataError, match=r"the tier 'tones' has points without a duration; .*'tones' \(1 points\)"):
        annotated_excerpts(tmp_path / "a.TextGrid", ("tones",), silent)


def test_times_beyond_the_recording(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", 4.0)
    path = tmp_path / "a.en.srt"
    path.write_text(
        "00:00:01,000 --> 00:00:02,000\na\n\n00:00:01,500 --> 00:00:04,050\nb\n\n"
        "00:00:03,900 --> 00:00:05,000\nc\n\n00:00:05,000 --> 00:00:06,000\nd\n"
    )
    warnings: list[str] = []
    _, found = annotated_excerpts(path, (), collected(warnings))
    assert [(one.start, one.duration, one.text) for one in found] == [(1, 1, "a"), (1.5, 2.5, "b"), (3.9, 0.1, "c")]
    overlapping, also, shortened, skipped = warnings
    assert overlapping.startswith(f"{path}:4: 'b' begins before 'a' ends (1.5 s, 2 s)")
    assert also.startswith(f"{path}:7: 'c' begins before 'b' ends")
    assert shortened.startswith(f"{path}:7: 'c' from 3.9 s to 5 s is shortened; ")
    assert skipped.startswith(f"{path}:10: 'd' from 5 s to 6 s is skipped; ")


def test_media_with_an_offset(elan: Path) -> None:
    elan.with_name("a b.wav").unlink()
    sound(elan.with_name("film.mp4"))
    recording, (found,) = annotated_excerpts(elan, ("A-text",), silent)
    assert (recording.name, found.start) == ("film.mp4", 2.5)


@pytest.mark.parametrize(
    "written",
    ["./a b.wav", "a%20b.wav", "file:./a%20b.wav", "file:///C:/x/a%20b.wav", "file:///C:/x/a b.wav", r"C:\x\a b.wav"],
)
def test_where_recordings_are(tmp_path: Path, written: str) -> None:
    there = sound(tmp_path / "a b.wav")
    assert recording_of(tmp_path / "x.eaf", [Media(("",)), Media((written,), 1.0)]) == (there, 1.0)


def test_recordings_where_the_file_says(tmp_path: Path) -> None:
    there = sound(tmp_path / "media/a.wav")
    (tmp_path / "x").mkdir()
    assert recording_of(tmp_path / "x/x.eaf", [Media((f"file://{there}",))])[0] == there
    assert recording_of(tmp_path / "x/x.eaf", [Media(("../media/a.wav",))])[0] == tmp_path / "x/../media/a.wav"


def test_a_recording_of_the_same_name(tmp_path: Path) -> None:
    there = sound(tmp_path / "x.flac")
    assert recording_of(tmp_path / "x.eaf", [Media(("lost.wav",), 2.0)]) == (there, 2.0)
    assert recording_of(tmp_path / "x.en.srt") == (there, 0.0)


def test_missing_recordings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.eaf: its recording 'a b\.wav' is missing; wanted it at .*/a b\.wav"):
        recording_of(tmp_path / "x.eaf", [Media(("file:///C:/a%20b.wav",))])
    with pytest.raises(DataError, match=r"x\.srt: there is no recording beside it; wanted .*x\.wav"):
        recording_of(tmp_path / "x.srt")
