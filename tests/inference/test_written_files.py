"""Files that are written are read back: subtitles, TextGrid, ELAN, tables."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data.annotations import Annotations, Tier, read
from speechxfer.data.annotations.excerpts import annotated_excerpts
from speechxfer.decoding.hypothesis import Word
from speechxfer.errors import ConfigError
from speechxfer.inference import Segment, Transcript
from speechxfer.inference.subtitles import SubtitleOptions
from speechxfer.inference.writers import FORMATS, write, write_transcript

WORDS = (Word('say "hé"', 0.5, 0.9), Word("<again>", 1.0, 1.4), Word("&", 1.4, 1.5))
TRANSCRIPT = Transcript(
    'say "hé" <again> & so on',
    (Segment(0.5, 1.5, 'say "hé" <again> &', WORDS), Segment(2.0, 3.0, "so\ton")),
    4.0,
    "talks/a b.wav",
)
SEGMENTS = [(0.5, 1.5, 'say "hé" <again> &'), (2.0, 3.0, "so on")]


def placed(tier: Tier) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in tier.intervals]


def read_again(folder: Path, transcript: Transcript, suffix: str) -> Annotations:
    write_transcript(transcript, folder / f"a.{suffix}")
    return read(folder / f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["TextGrid", "textgrid", "eaf"])
def test_tiers_of_segments_and_words(tmp_path: Path, suffix: str) -> None:
    segments, words = read_again(tmp_path, TRANSCRIPT, suffix).tiers
    assert (segments.name, words.name) == ("segments", "words")
    assert placed(segments) == SEGMENTS
    assert placed(words) == [(word.start, word.end, word.text) for word in WORDS]


@pytest.mark.parametrize("suffix", ["TextGrid", "eaf"])
def test_without_word_times_there_is_one_tier(tmp_path: Path, suffix: str) -> None:
    (tier,) = read_again(tmp_path, Transcript("a", (Segment(0, 1, "a"),), 1.0), suffix).tiers
    assert (tier.name, placed(tier)) == ("segments", [(0, 1, "a")])


@pytest.mark.parametrize("suffix", ["TextGrid", "eaf"])
def test_no_speech(tmp_path: Path, suffix: str) -> None:
    (tier,) = read_again(tmp_path, Transcript("", (), 2.0), suffix).tiers
    assert tier == Tier("segments", ())


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_subtitles(tmp_path: Path, suffix: str) -> None:
    transcript = Transcript("one & two", (Segment(1.0, 2.0, "one & two"), Segment(3.0, 4.5, "three")), 6.0)
    (tier,) = read_again(tmp_path, transcript, suffix).tiers
    assert placed(tier) == [(1.0, 2.0, "one & two"), (3.0, 4.5, "three")]


def test_a_table_of_segments() -> None:
    assert write(TRANSCRIPT, "tsv") == ('start\tend\ttext\n0.500\t1.500\tsay "hé" <again> &\n2.000\t3.000\tso on\n')


def test_limits_of_subtitles(tmp_path: Path) -> None:
    transcript = Transcript("", (Segment(0, 20, "some more words for a few short lines"),), 20.0)
    write_transcript(transcript, tmp_path / "a.srt", subtitles=SubtitleOptions(line_length=15, lines=1))
    lines = (tmp_path / "a.srt").read_text().splitlines()
    assert max(len(line) for line in lines if "-->" not in line) <= 15


def test_the_suffix_is_the_format(tmp_path: Path) -> None:
    for name in FORMATS:
        write_transcript(TRANSCRIPT, tmp_path / f"b.{name}")
    with pytest.raises(ConfigError, match=r"'doc' is not known; wanted one of txt, json, srt, vtt, tsv, TextGrid, eaf"):
        write_transcript(TRANSCRIPT, tmp_path / "b.doc")


def test_elan_links_the_recording(tmp_path: Path) -> None:
    recording = tmp_path / "talks/a b.wav"
    recording.parent.mkdir()
    soundfile.write(recording, np.zeros(64_000), 16_000)
    transcript = Transcript(TRANSCRIPT.text, TRANSCRIPT.segments, 4.0, str(recording))
    write_transcript(transcript, tmp_path / "elsewhere.eaf")
    found, excerpts = annotated_excerpts(tmp_path / "elsewhere.eaf", ("segments",), lambda _message, _kind: None)
    assert found == recording
    assert [(one.start, one.duration, one.text) for one in excerpts] == [
        (start, end - start, text) for start, end, text in SEGMENTS
    ]


@pytest.mark.parametrize("source", [None, "-"])
def test_elan_without_a_recording(tmp_path: Path, source: str | None) -> None:
    assert read_again(tmp_path, Transcript("a", (Segment(0, 1, "a"),), 1.0, source), "eaf").media == ()


times = st.floats(0, 5000)
words = st.builds(lambda a, b: Word("w\x00\ud800\ufffe", a, b), times, times)
segments = st.builds(
    lambda a, b, found: Segment(a, b, 'a "b"', tuple(found)), times, times, st.lists(words, max_size=4)
)


def required(element: ET.Element, *names: str) -> list[str]:
    return [element.attrib[name] for name in names]


@settings(max_examples=40, deadline=None)
@given(st.lists(segments, max_size=5))
def test_files_that_elan_and_praat_open_even_where_a_model_errs(found: list[Segment]) -> None:
    """The structure that the schema of EAF 3.0 asks for, and what ELAN asks for besides."""
    transcript = Transcript("", tuple(found), 100.0, "a.wav")
    root = ET.fromstring(write(transcript, "eaf").encode())
    order = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "CONSTRAINT"]
    assert [name for name, _ in itertools.groupby(child.tag for child in root)] == order
    required(root, "DATE", "AUTHOR", "VERSION", "FORMAT")
    for media in root.iter("MEDIA_DESCRIPTOR"):
        required(media, "MEDIA_URL", "MIME_TYPE", "RELATIVE_MEDIA_URL")
    slots = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")}
    assert len(slots) == sum(1 for _ in root.iter("TIME_SLOT"))
    assert list(slots.values()) == sorted(slots.values())
    types = {one.attrib["LINGUISTIC_TYPE_ID"]: one.get("CONSTRAINTS") for one in root.iter("LINGUISTIC_TYPE")}
    assert {name for name in types.values() if name} == {one.attrib["STEREOTYPE"] for one in root.iter("CONSTRAINT")}
    ids = [*slots, *(one.attrib["ANNOTATION_ID"] for one in root.iter("ALIGNABLE_ANNOTATION"))]
    assert len(set(ids)) == len(ids)
    spans: dict[str, list[tuple[int, int]]] = {}
    used: list[str] = []
    for tier in root.iter("TIER"):
        name, kind = required(tier, "TIER_ID", "LINGUISTIC_TYPE_REF")
        assert (types[kind] is None) == (tier.get("PARENT_REF") is None)
        pairs = [required(one, "TIME_SLOT_REF1", "TIME_SLOT_REF2") for one in tier.iter("ALIGNABLE_ANNOTATION")]
        used += itertools.chain.from_iterable(pairs)
        spans[name] = [(slots[start], slots[end]) for start, end in pairs]
        assert all(start < end for start, end in spans[name])
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans[name]))
        assert all(len(one.findall("ANNOTATION_VALUE")) == 1 for one in tier.iter("ALIGNABLE_ANNOTATION"))
    assert sorted(used) == sorted(slots)
    for start, end in spans.get("words", []):
        assert any(first <= start and end <= last for first, last in spans["segments"])
    check_textgrid(write(transcript, "TextGrid"))


def check_textgrid(content: str) -> None:
    """Tiers from 0 to the end of the recording without gaps."""
    for tier in content.split("    item [")[1:]:
        values = [float(line.split()[2]) for line in tier.splitlines() if line.split()[:1] in (["xmin"], ["xmax"])]
        (start, end), inner = values[:2], values[2:]
        assert (inner[0], inner[-1]) == (start, end) == (0, inner[-1])
        assert inner[1:-1:2] == inner[2::2]
        assert all(before < after for before, after in zip(inner[::2], inner[1::2], strict=True))
