"""Cues that people can read: every word once, no overlap, limits that hold, and breaks at clauses."""
# ruff: noqa: RUF001

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.decoding.hypothesis import Word
from speechxfer.errors import ConfigError
from speechxfer.inference import Segment, Transcript
from speechxfer.inference.subtitles import Cue, SubtitleOptions, cues
from speechxfer.inference.subtitles.pieces import width

DEFAULT = SubtitleOptions()


def spoken(text: str, per_character_s: float = 0.06, pauses: dict[str, float] | None = None) -> Transcript:
    """A segment whose words take time by their lengths; after some words there is a pause."""
    words, time = [], 0.0
    for word in text.split():
        end = time + len(word) * per_character_s
        words.append(Word(word, time, end))
        time = end + (pauses or {}).get(word, 0.01)
    return Transcript(text, (Segment(0.0, words[-1].end, text, tuple(words)),), time + 5)


def shown(transcript: Transcript, options: SubtitleOptions = DEFAULT) -> list[list[str]]:
    return [list(cue.lines) for cue in cues(transcript, options)]


def test_breaks_at_clauses_and_balanced_lines() -> None:
    text = (
        "When the train had left the station, nobody was left on the platform. "
        "He looked at the clock, waited for another hour, and went home."
    )
    assert shown(spoken(text)) == [
        ["When the train had left the station,", "nobody was left on the platform."],
        ["He looked at the clock,", "waited for another hour, and went home."],
    ]


def test_no_orphans() -> None:
    text = "We have been talking about the weather in the north of this country for an hour now"
    found = shown(spoken(text))
    assert all(len(line) > 12 for lines in found for line in lines)


def test_no_break_after_a_short_word() -> None:
    for text in (
        "the members of the committee have agreed to the proposal of the chairman of the board",
        "i membri della commissione hanno accettato la proposta che il presidente ha fatto per la nuova sede",
        "die Mitglieder haben dem Vorschlag zugestimmt den der Vorsitzende an den Vorstand gerichtet hat",
    ):
        lines = [line for lines in shown(spoken(text)) for line in lines]
        assert all(len(line.split()[-1]) > 3 for line in lines[:-1]), lines


def test_names_stay_together() -> None:
    text = "and yesterday evening they were visited by John Smith together with several others"
    lines = [line for lines in shown(spoken(text)) for line in lines]
    assert any("John Smith" in line for line in lines)


def test_pauses_end_cues() -> None:
    text = "so I went there and it was not really what they had said"
    assert shown(spoken(text, pauses={"there": 0.9})) == [
        ["so I went there"],
        ["and it was not really what they had said"],
    ]


def test_a_cue_stays_into_the_pause_until_it_can_be_read() -> None:
    text = "this is said in a hurry but then there is time"
    first, second = cues(spoken(text, per_character_s=0.02, pauses={"hurry": 3.0}), DEFAULT)
    assert first.end_ms - first.start_ms == math.ceil(1000 * len("this is said in a hurry") / 17)
    assert second.start_ms > first.end_ms


def test_cues_stay_for_a_moment_but_not_beyond_the_recording() -> None:
    word = (Word("no", 1.0, 1.1),)
    for duration, end_ms in ((9.0, 1834), (1.5, 1500)):
        assert cues(Transcript("no", (Segment(1.0, 1.1, "no", word),), duration), DEFAULT) == [
            Cue(1000, end_ms, ("no",))
        ]


def test_between_cues_are_two_frames_and_no_flicker() -> None:
    found = cues(spoken("one sentence here. " * 20, pauses={"here.": 0.3}), DEFAULT)
    assert len(found) > 3
    assert {after.start_ms - before.end_ms for before, after in itertools.pairwise(found)} == {83}


def test_segments_without_word_times_are_split_by_their_lengths() -> None:
    text = "The first sentence is about this long. The second sentence is a little bit longer than that. A third."
    transcript = Transcript(text, (Segment(10.0, 20.0, text), Segment(20.0, 21.0, "Ok.")), 30.0)
    found = cues(transcript, DEFAULT)
    assert [" ".join(cue.lines) for cue in found] == [
        "The first sentence is about this long.",
        "The second sentence is a little bit longer than that. A third.",
        "Ok.",
    ]
    assert found[0].start_ms == 10_000
    assert found[-1].start_ms == 20_000


def test_limits_are_options() -> None:
    options = SubtitleOptions(line_length=20, lines=1, characters_per_second=10)
    text = "a rather long sentence which takes several cues of one line"
    found = cues(spoken(text, per_character_s=0.2), options)
    assert all(len(cue.lines) == 1 and len(cue.lines[0]) <= 20 for cue in found)
    for name, value in {"line_length": 0, "lines": 0, "characters_per_second": 0.0, "gap": -1.0}.items():
        with pytest.raises(ConfigError, match=f"{name} is "):
            SubtitleOptions(**{name: value})


def test_chinese_without_spaces() -> None:
    text = "今天的天气非常好，我们决定去公园散步。公园里有很多人，孩子们在草地上玩耍，老人们在树下下棋。"
    transcript = Transcript(text, (Segment(0.0, 14.0, text, (Word(text, 0.0, 14.0),)),), 14.0)
    found = cues(transcript, DEFAULT)
    lines = [line for cue in found for line in cue.lines]
    assert "".join(lines) == text
    assert all(width(line) <= 42 for line in lines)
    assert all(line[0] not in "，。" for line in lines)
    assert all(line[-1] in "，。" for line in lines)


def test_japanese_breaks_after_phrases() -> None:
    text = "昨日の夜遅くに東京の駅前で大きな火事があったというニュースを聞いて、とても驚きました。"
    transcript = Transcript(text, (Segment(0.0, 9.0, text, (Word(text, 0.0, 9.0),)),), 9.0)
    lines = [line for cue in cues(transcript, DEFAULT) for line in cue.lines]
    assert "".join(lines) == text
    assert all(width(line) <= 42 for line in lines)
    assert all(line[0] not in "っゃー、。" for line in lines)


def test_words_that_are_single_characters_are_joined_as_in_the_text() -> None:
    text = "我们 去iPhone商店。"
    parts = ["我们", "去", "iPhone", "商店。"]
    words = tuple(Word(part, place * 0.3, place * 0.3 + 0.3) for place, part in enumerate(parts))
    assert shown(Transcript(text, (Segment(0.0, 1.2, text, words),), 9.0)) == [[text]]


def test_thai_keeps_its_syllables() -> None:
    text = "เมื่อวานนี้ฉันไปตลาดและซื้อผลไม้มากมายเพราะว่าราคาถูกมากแล้วก็กลับบ้านไปทำอาหารให้เพื่อนๆกิน"
    transcript = Transcript(text, (Segment(0.0, 9.0, text, (Word(text, 0.0, 9.0),)),), 9.0)
    lines = [line for cue in cues(transcript, DEFAULT) for line in cue.lines]
    assert "".join(lines) == text
    assert all(width(line) <= 42 for line in lines)
    assert all(line[0] in "เแโใไ" for line in lines)


def test_right_to_left_text_stays_in_logical_order() -> None:
    text = "ذهبت إلى السوق أمس واشتريت الكثير من الفاكهة، لأن الأسعار كانت منخفضة جدا في ذلك اليوم."
    lines = [line for lines in shown(spoken(text)) for line in lines]
    assert " ".join(lines) == text
    assert lines[0].endswith("،") or lines[1].endswith("،")


def test_wide_and_combining_characters() -> None:
    assert width("abc") == 3
    assert width("漢字") == 4
    assert width("e\u0301") == 1


words = st.text(st.sampled_from("abcdefgh.,?é漢あก"), min_size=1, max_size=6)
gaps = st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.7, 0.9, 4.0])
timed_words = st.lists(st.tuples(words, st.floats(0.01, 2.0), gaps), min_size=1, max_size=60)
options = st.builds(
    SubtitleOptions,
    line_length=st.integers(12, 60),
    lines=st.integers(1, 3),
    characters_per_second=st.floats(5, 30),
    gap=st.sampled_from([0.0, 1 / 12, 0.5]),
)


@settings(max_examples=150, deadline=None)
@given(timed_words, options, st.integers(1, 20))
def test_every_word_is_there_once_and_limits_hold(
    parts: list[tuple[str, float, float]], options: SubtitleOptions, per_segment: int
) -> None:
    time, timed = 0.0, []
    for text, length, gap in parts:
        timed.append(Word(text, time, time + length))
        time += length + gap
    groups = [tuple(timed[place : place + per_segment]) for place in range(0, len(timed), per_segment)]
    segments = tuple(Segment(g[0].start, g[-1].end, " ".join(w.text for w in g), g) for g in groups)
    found = cues(Transcript(" ".join(s.text for s in segments), segments, time), options)
    said = "".join(text for text, *_ in parts)
    assert "".join(line.replace(" ", "") for cue in found for line in cue.lines) == said
    assert all(cue.start_ms < cue.end_ms for cue in found)
    assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(found))
    assert all(len(cue.lines) <= options.lines for cue in found)
    assert all(width(line) <= options.line_length for cue in found for line in cue.lines)
    for cue, text in ((cue, " ".join(cue.lines)) for cue in found):
        assert cue.end_ms - cue.start_ms <= 1000 * options.max_duration + 1 or " " not in text
