from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.decoding.hypothesis import Word
from speechxfer.errors import ConfigError
from speechxfer.inference import Segment, Transcript
from speechxfer.inference.writers import FORMATS, write, write_line

TIMING = re.compile(r"^(\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3})$", re.M)


def of(*segments: Segment) -> Transcript:
    return Transcript(" ".join(s.text for s in segments), segments, 9.0, "a.wav")


def spoken(*words: Word) -> Transcript:
    return of(Segment(words[0].start, words[-1].end, " ".join(w.text for w in words), words))


def steady(text: str, step_s: float = 0.3) -> Transcript:
    return spoken(*(Word(word, i * step_s, (i + 1) * step_s) for i, word in enumerate(text.split())))


def cues(subtitles: str) -> list[tuple[int, int]]:
    """(start, end) in ms of each cue."""
    found = []
    for numbers in TIMING.findall(subtitles):
        h, m, s, ms, *end = map(int, numbers)
        found.append((((h * 60 + m) * 60 + s) * 1000 + ms, ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]))
    return found


def test_txt() -> None:
    assert write(of(Segment(0, 1, "one"), Segment(1, 2, "two")), "txt") == "one two\n"


def test_json() -> None:
    transcript = of(Segment(0, 1, "été"))
    assert json.loads(write(transcript, "json")) == transcript.to_dict()
    assert "été" in write(transcript, "json")


def test_srt() -> None:
    transcript = of(Segment(0, 1.5, "a & b"), Segment(1.5, 360_000.9996, "two"))
    assert write(transcript, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,417\na & b\n\n2\n00:00:01,500 --> 100:00:01,000\ntwo\n"
    )


def test_vtt() -> None:
    transcript = of(Segment(0, 1.5, "a & b"), Segment(1.5, 59.9996, "<i> --> two"))
    assert write(transcript, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.417\na &amp; b\n\n00:00:01.500 --> 00:01:00.000\n&lt;i&gt; --&gt; two\n"
    )


def test_nothing_said() -> None:
    assert [write(of(), name) for name in ("txt", "srt", "vtt")] == ["\n", "", "WEBVTT\n"]


def test_a_segment_without_word_times_is_one_cue() -> None:
    lines = write(of(Segment(0, 28, "some words " * 20)), "srt").splitlines()
    assert len(lines) > 4
    assert max(map(len, lines)) <= 42


def test_long_segments_are_split_into_two_lines_at_words() -> None:
    text = " ".join(["subtitles", "are", "short"] * 20)
    blocks = write(steady(text, step_s=0.1), "srt").split("\n\n")
    lines = [block.strip().splitlines()[2:] for block in blocks]
    assert max(map(len, lines)) == 2
    assert all(len(line) <= 42 for line in itertools.chain(*lines))
    assert " ".join(itertools.chain(*lines)) == text


def test_cues_last_seven_seconds_at_most() -> None:
    found = cues(write(steady("la " * 60, step_s=0.5), "vtt"))
    assert 5000 < max(end - start for start, end in found) <= 7000


def test_a_pause_ends_a_cue() -> None:
    transcript = spoken(Word("one", 0, 1), Word("two", 1.5, 2), Word("three", 2.9, 3))
    assert cues(write(transcript, "srt")) == [(0, 2000), (2900, 3734)]


times = st.floats(0, 500_000)
words = st.builds(
    lambda text, a, b: Word(text, min(a, b), max(a, b)), st.sampled_from(["a", "long" * 30]), times, times
)
transcripts = st.lists(
    st.builds(lambda a, b, ws: Segment(a, b, "text", tuple(ws)), times, times, st.lists(words, max_size=4)),
    max_size=4,
).map(lambda segments: of(*segments))


@given(transcripts, st.sampled_from(["srt", "vtt"]))
def test_cues_never_end_early_nor_overlap_even_where_a_model_errs(transcript: Transcript, name: str) -> None:
    subtitles = write(transcript, name)
    found = cues(subtitles)
    assert len(found) == subtitles.count(" --> ")
    assert all(start < end for start, end in found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))


def test_lines_of_several_recordings() -> None:
    transcript = of(Segment(0, 1, "one\ntwo"))
    assert write_line(transcript, "txt") == "a.wav: one two\n"
    assert write_line(transcript, "json").count("\n") == 1
    assert json.loads(write_line(transcript, "json")) == transcript.to_dict()


def test_unknown_formats_are_refused() -> None:
    assert FORMATS == ("txt", "json", "srt", "vtt", "tsv", "TextGrid", "eaf")
    with pytest.raises(ConfigError, match=r"'doc'.*txt, json, srt, vtt"):
        write(of(), "doc")
    with pytest.raises(ConfigError, match="'srt'"):
        write_line(of(), "srt")
