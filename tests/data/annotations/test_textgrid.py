"""TextGrid files as Praat and other programs write them, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechxfer.data.annotations import Annotations, Interval, Tier, read
from speechxfer.errors import DataError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Mary ""M"" Ann"
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "say ""hé""
again"
        intervals [3]:
            xmin = 1.25
            xmax = 2.5
            text = "5 > 3"
    item [2]:
        class = "TextTier"
        name = "tones"
        xmin = 0
        xmax = 2.5
        points: size = 2
        points [1]:
            number = 0.75
            mark = "H*"
        points [2]:
            number = 1
            mark = ""
    item [3]:
        class = "IntervalTier"
        name = "empty"
        xmin = 0
        xmax = 2.5
        intervals: size = 0
"""
SHORT = """File type = "ooTextFile short"
"TextGrid"

0
2.5 ! comments end with the line
<exists>
3
"IntervalTier"
"Mary ""M"" Ann"
0 2.5 3
0 0.5 ""
0.5 1.25 "say ""hé""
again"
1.25 2.5 "5 > 3"
"TextTier"
"tones"
0
2.5
2
0.75
"H*"
1
""
"IntervalTier" "empty" 0 2.5 0
"""
TIERS = (
    Tier('Mary "M" Ann', (Interval(0.5, 1.25, 'say "hé" again'), Interval(1.25, 2.5, "5 > 3"))),
    Tier("tones", (Interval(0.75, 0.75, "H*"),)),
    Tier("empty", ()),
)


def written(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize("content", [LONG, SHORT, LONG.replace("\n", "\r\n"), LONG.replace(" = ", "=  ").expandtabs()])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_long_and_short(tmp_path: Path, content: str, encoding: str) -> None:
    assert read(written(tmp_path / "a.TextGrid", content, encoding)) == Annotations(TIERS)


def test_origins_are_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "a.TextGrid", LONG)
    assert [one.origin for one in read(path).tiers[0].intervals] == [f"{path}:22", f"{path}:27"]


@pytest.mark.parametrize(
    ("end", "seen"),
    [
        (
            LONG.index('text = "5 > 3"'),
            r"a\.TextGrid: ends before the text of an interval in the tier 'Mary \"M\" Ann'",
        ),
        (LONG.index(" > 3"), r"""a\.TextGrid:27: '"5' where the text of an interval in the tier"""),
        (LONG.index("xmax = 2.5\n            text"), r"ends before the end of an interval"),
    ],
)
def test_what_stands_before_the_damage_is_used(tmp_path: Path, end: int, seen: str) -> None:
    warnings: list[str] = []
    found = read(written(tmp_path / "a.TextGrid", LONG[:end]), lambda message, _kind: warnings.append(message))
    assert found.tiers == (Tier(TIERS[0].name, TIERS[0].intervals[:1]),)
    (warning,) = warnings
    with pytest.raises(AssertionError, match=seen + ".*; only what stands before it is used"):
        raise AssertionError(warning)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("", r"a\.TextGrid: ends before ooTextFile; wanted a TextGrid as Praat writes it"),
        ("hello", r"a\.TextGrid: ends before ooTextFile"),
        (LONG.replace('"TextGrid"', '"Pitch 1"'), r"begins with 'ooTextFile' and 'Pitch 1'; wanted a TextGrid"),
        (
            LONG.replace("xmin = 0\n            xmax = 0.5", "xmin = a"),
            r":17: '\"\"' where the start of an interval in",
        ),
        (LONG.replace('name = "', "name = "), r":11: '\" Ann\"' where|:11: "),
    ],
)
def test_no_textgrid(tmp_path: Path, content: str, seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        read(written(tmp_path / "a.TextGrid", content))


def test_intervals_that_end_before_they_start(tmp_path: Path) -> None:
    warnings: list[str] = []
    content = SHORT.replace("0.5 1.25 ", "1.25 0.5 ").replace("1.25 2.5 ", "-1 2.5 ")
    found = read(written(tmp_path / "a.TextGrid", content), lambda message, _kind: warnings.append(message))
    assert found.tiers[0].intervals == (Interval(0, 2.5, "5 > 3"),)
    assert "from 1.25 s to 0.5 s is skipped" in warnings[0]
    assert "begins before the recording" in warnings[1]
