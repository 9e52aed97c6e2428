"""Files of ELAN: times that are not written, annotations of annotations, media, and damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from speechxfer.data.annotations import Annotations, Interval, Media, Tier, read
from speechxfer.errors import DataError

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+01:00" FORMAT="3.0" VERSION="3.0">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/a%20b.wav" MIME_TYPE="audio/x-wav" RELATIVE_MEDIA_URL="./a%20b.wav"/>
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/film.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="1500"/>
        <PROPERTY NAME="lastUsedAnnotationId">9</PROPERTY>
    </HEADER>
    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
        <TIME_SLOT TIME_SLOT_ID="ts2"/>
        <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1100"/>
        <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="-1"/>
        <TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="2200"/>
        <TIME_SLOT TIME_SLOT_ID="ts6"/>
        <TIME_SLOT TIME_SLOT_ID="ts7" TIME_VALUE="3000"/>
    </TIME_ORDER>
    <TIER LINGUISTIC_TYPE_REF="words" PARENT_REF="A-text" PARTICIPANT="Anna" TIER_ID="A-words">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
            <ANNOTATION_VALUE>one</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts4">
            <ANNOTATION_VALUE>two</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts5">
            <ANNOTATION_VALUE>three</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="glosses" PARENT_REF="A-words" TIER_ID="A-gloss">
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a6" ANNOTATION_REF="a2" PREVIOUS_ANNOTATION="a5">
            <ANNOTATION_VALUE>b</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a2">
            <ANNOTATION_VALUE>a</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a7" ANNOTATION_REF="a3">
            <ANNOTATION_VALUE>c &amp; d</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="Anna" TIER_ID="A-text">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts5">
            <ANNOTATION_VALUE>one
two three</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="B">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a8" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts6">
            <ANNOTATION_VALUE>yes</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a9" TIME_SLOT_REF1="ts6" TIME_SLOT_REF2="ts7">
            <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="empty"/>
</ANNOTATION_DOCUMENT>
"""


def written(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def tier(found: Annotations, name: str) -> tuple[Interval, ...]:
    return next(tier.intervals for tier in found.tiers if tier.name == name)


def placed(found: Annotations, name: str) -> list[tuple[float, float, str]]:
    return [(round(one.start, 6), round(one.end, 6), one.text) for one in tier(found, name)]


def test_tiers_and_media(tmp_path: Path) -> None:
    path = written(tmp_path / "a.eaf", EAF)
    found = read(path)
    assert [tier.name for tier in found.tiers] == ["A-words", "A-gloss", "A-text", "B", "empty"]
    assert tier(found, "A-text") == (Interval(1.0, 2.2, "one two three", "Anna"),)
    assert tier(found, "A-text")[0].origin == f"{path}:34"
    assert found.media == (Media(("./a%20b.wav", "file:///C:/a%20b.wav")), Media(("file:///C:/film.mp4",), 1.5))
    assert found.tiers[-1] == Tier("empty", ())


def test_slots_without_times_are_in_equal_parts_of_their_parent(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.eaf", EAF))
    assert placed(found, "A-words") == [(1.0, 1.4, "one"), (1.4, 1.8, "two"), (1.8, 2.2, "three")]


def test_slots_without_times_of_tiers_without_a_parent(tmp_path: Path) -> None:
    assert placed(read(written(tmp_path / "a.eaf", EAF)), "B") == [(1.1, 2.6, "yes")]


def test_annotations_of_annotations_divide_their_time(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.eaf", EAF))
    assert placed(found, "A-gloss") == [(1.0, 1.2, "a"), (1.2, 1.4, "b"), (1.4, 1.8, "c & d")]


def test_other_encodings(tmp_path: Path) -> None:
    for encoding in ("utf-16", "iso-8859-1"):
        content = EAF.replace("UTF-8", encoding).replace("yes", "sí")
        assert placed(read(written(tmp_path / "a.eaf", content, encoding)), "B")[0][2] == "sí"


def test_what_refers_to_nowhere_is_skipped(tmp_path: Path) -> None:
    warnings: list[str] = []
    content = EAF.replace('REF1="ts3"', 'REF1="ts33"').replace('ANNOTATION_REF="a3"', 'ANNOTATION_REF="a33"')
    found = read(written(tmp_path / "a.eaf", content), lambda message, _kind: warnings.append(message))
    assert placed(found, "B") == []
    assert placed(found, "A-gloss") == [(1.0, 1.2, "a"), (1.2, 1.4, "b")]
    assert warnings == [
        f"{tmp_path / 'a.eaf'}:30: a7 refers to a33, which has no time; it is skipped",
        f"{tmp_path / 'a.eaf'}:39: a8 refers to ts33 and ts6, which has no time; it is skipped",
    ]


def test_tiers_that_are_their_own_parents(tmp_path: Path) -> None:
    content = EAF.replace('TIER_ID="A-text"', 'TIER_ID="A-text" PARENT_REF="A-words"')
    assert placed(read(written(tmp_path / "a.eaf", content)), "A-text") == [(1.0, 2.2, "one two three")]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><ANNOTATION_DOCUMENT>&i;</ANNOTATION_DOCUMENT>"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "",
            r"a\.eaf:1: is not well-formed XML \(no element found\); ELAN keeps copies beside .* as a\.eaf\.001",
        ),
        (EAF[: EAF.index("<TIER")], r"a\.eaf:17: is not well-formed XML \(no element found\)"),
        (EAF.replace("</TIER>", "", 1), r"a\.eaf:45: is not well-formed XML \(mismatched tag\)"),
        ("<gpx>\n</gpx>", r"a\.eaf:1: <gpx> is no file of ELAN; wanted <ANNOTATION_DOCUMENT>"),
        (BOMB, r"a\.eaf:1: declares the entity 'a'; wanted a file of ELAN"),
        (EAF.replace('"1000"', '"1 s"'), r"a\.eaf:9: TIME_VALUE is '1 s'; wanted whole milliseconds"),
        (EAF.replace(' TIME_SLOT_REF1="ts1"', "", 1), r"a\.eaf:18: <ALIGNABLE_ANNOTATION> has no TIME_SLOT_REF1"),
        (EAF.replace("milliseconds", "PAL-frames"), r"a\.eaf:3: TIME_UNITS is 'PAL-frames'; wanted milliseconds"),
        (EAF.replace("UTF-8", "klingon"), r"a\.eaf:1: is not well-formed XML \(unknown encoding\)"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", r"a\.eaf: .*Git LFS"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "a.eaf", content))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.eaf: cannot be read \(No such file or directory\)"):
        read(tmp_path / "a.eaf")
