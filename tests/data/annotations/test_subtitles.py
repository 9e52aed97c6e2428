"""Subtitles as people and programs write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from speechxfer.data.annotations import Annotations, Interval, Tier, read
from speechxfer.errors import ConfigError, DataError


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def collected(messages: list[str]) -> Callable[[str, str], None]:
    """Collects warnings."""
    return lambda message, _kind: messages.append(message)


def texts(annotations: Annotations) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in annotations.intervals]


TWO = [(1.0, 2.5, "one two"), (3.0, 4.0, "three")]


@pytest.mark.parametrize(
    "content",
    [
        "1\n00:00:01,000 --> 00:00:02,500\none\ntwo\n\n2\n00:00:03,000 --> 00:00:04,000\nthree\n",
        "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\none\r\ntwo\r\n\r\n2\r\n00:00:03,000 --> 00:00:04,000\r\nthree",
        "1\r\r\n00:00:01,000 --> 00:00:02,500\r\r\none two\r\r\n\r\r\n2\r\r\n00:00:03,000 --> 00:00:04,000\r\r\nthree",
        "00:00:01,000 --> 00:00:02,500\none two\n\n00:00:03,000 --> 00:00:04,000\nthree\n",  # no numbers
        "1\n00:00:01,000 --> 00:00:02,500\none two\n2\n00:00:03,000 --> 00:00:04,000\nthree\n",  # no empty line
        "1\n00:00:01,000 --> 00:00:02,500\none\n\ntwo\n\n2\n00:00:03,000 --> 00:00:04,000\nthree\n",  # one too many
        "\n\n1\n0:0:1,0 --> 0:0:2,5\n<i>one</i> {\\an8}two\n\n2\n00:03.0 -> 00:00:04. 0\n<font size=9>three</font>",
        "1\n00:00:03,000 --> 00:00:04,000\nthree\n\n2\n00:00:01,000 --> 00:00:02,500\none two\n",  # not in order
        "1\n00:00:01,000 --> 00:00:02,500\none two\n\n2\n00:00:03,000 --> 00:00:04,000\nthree\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\n\n4\n00:00:05,000 --> 00:00:06,000\n<b> </b>\n",  # cues that show no text
    ],
)
def test_srt_in_the_wild(tmp_path: Path, content: str) -> None:
    warnings: list[str] = []
    for encoding in ("utf-8", "utf-16"):
        path = written(tmp_path / f"{encoding}.SRT", content.encode(encoding))
        assert texts(read(path, collected(warnings))) == TWO
    assert warnings == []


def test_a_number_may_be_a_text(tmp_path: Path) -> None:
    srt = "00:00:01,000 --> 00:00:02,000\n42\n\n00:00:03,000 --> 00:00:04,000\n43\n"
    assert [text for *_, text in texts(read(written(tmp_path / "a.srt", srt)))] == ["42", "43"]


def test_vtt(tmp_path: Path) -> None:
    vtt = """WEBVTT - Some title
Kind: captions

STYLE
::cue { color: red }

NOTE a comment
of two lines

intro
00:01.000 --> 00:00:02.500 align:start position:10%,line-left
one <00:00:01.500><c.loud>two</c>

NOTE after --
a cue

00:03.000 --> 00:04.000
three
"""
    assert texts(read(written(tmp_path / "a.vtt", vtt))) == TWO


def test_voices_are_speakers(tmp_path: Path) -> None:
    vtt = "WEBVTT\n\n00:01.0 --> 00:02.0\n<v.loud Mary Ann>AT&amp;T</v>\n\n00:03.0 --> 00:04.0\n<b>x</b> &lt;3\n"
    found = read(written(tmp_path / "a.vtt", vtt))
    assert found.tiers == (Tier("subtitles", (Interval(1, 2, "AT&T", "Mary Ann"), Interval(3, 4, "x <3"))),)
    assert found.intervals[1].origin == f"{tmp_path / 'a.vtt'}:6"


def test_overlapping_cues_stay(tmp_path: Path) -> None:
    srt = "1\n00:00:01,000 --> 00:00:05,000\na\n\n2\n00:00:02,000 --> 00:00:03,000\nb\n"
    assert texts(read(written(tmp_path / "a.srt", srt))) == [(1, 5, "a"), (2, 3, "b")]


def test_what_cannot_be_used_is_reported_with_its_line(tmp_path: Path) -> None:
    srt = (
        "1\n00:00:x1,000 --> 00:00:02,000\nlost\n\n2\n00:00:05,000 --> 00:00:04,000\nback\n\n"
        "3\n-00:00:01,000 --> 00:00:02,000\nearly\n\n4\n-00:00:02,000 --> -00:00:01,000\nbefore\n\n"
        "5\n00:00:08,000 --> 00:00:09,000\nfine\n"
    )
    path = written(tmp_path / "a.srt", srt)
    warnings: list[str] = []
    assert texts(read(path, collected(warnings))) == [(0, 2, "early"), (8, 9, "fine")]
    assert warnings[0].startswith(f"{path}:2: '00:00:x1,000 --> 00:00:02,000' is skipped; wanted times such as ")
    assert warnings[1].startswith(f"{path}:6: 'back' from 5 s to 4 s is skipped; wanted an end after its start")
    assert warnings[2].startswith(f"{path}:10: 'early' from -1 s to 2 s begins before the recording")
    assert warnings[3].startswith(f"{path}:14: 'before' from -2 s to -1 s is skipped")


@pytest.mark.parametrize("content", ["", "\n\n", "WEBVTT\n", "one\ntwo\n", "1\n00:00:01,000 --> 00:00:02,000\n"])
def test_no_subtitles(tmp_path: Path, content: str) -> None:
    path = written(tmp_path / "a.srt", content)
    with pytest.raises(DataError, match=r"a\.srt: holds no subtitles; wanted cues such as"):
        read(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.srt: no such file"):
        read(tmp_path / "a.srt")
    with pytest.raises(DataError, match=r"a\.srt:3: not UTF-8"):
        read(written(tmp_path / "a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nperch\xe9\n"))
    with pytest.raises(ConfigError, match=r"a\.doc: \.doc is no format of annotations; wanted one of \.srt, \.vtt"):
        read(tmp_path / "a.doc")
