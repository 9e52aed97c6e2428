from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.inference import Segment, Transcript, transcribe


def noise(seconds: float, level: float = 0.3) -> Waveform:
    return np.random.default_rng(0).uniform(-level, level, int(seconds * SAMPLE_RATE)).astype(np.float32)


def lengths(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
    """The number of whole seconds as text, said from the half second on."""
    return [
        Hypothesis(f" {len(w) // SAMPLE_RATE} ", (Word(f"{len(w) // SAMPLE_RATE}", 0.5, 1.0, 0.9),), 0.8)
        for w in waveforms
    ]


def test_a_short_recording_is_one_segment() -> None:
    transcript = transcribe([noise(3)], lengths, source="a.wav")
    segment = Segment(0.0, 3.0, "3", (Word("3", 0.5, 1.0, 0.9),), 0.8)
    assert transcript == Transcript("3", (segment,), 3.0, "a.wav")


def test_times_count_from_the_beginning_of_the_recording() -> None:
    transcript = transcribe([noise(3), noise(60, 0.0), noise(4)], lengths, max_segment_s=10)
    assert transcript.text == "3 4"
    assert transcript.duration == 67.0
    second = transcript.segments[1]
    assert (second.start, second.end) == pytest.approx((63.0, 67.0))
    assert (second.words[0].start, second.words[0].end) == pytest.approx((63.25, 63.75))


def test_silence_before_and_after_is_in_no_segment_s_times() -> None:
    transcript = transcribe([noise(16, 0.0), noise(3), noise(1.5, 0.0)], lengths)
    assert transcript.duration == 20.5
    (segment,) = transcript.segments
    assert (segment.start, segment.end) == pytest.approx((16.0, 19.0), abs=0.011)


def test_a_segment_holds_its_words_and_they_lie_in_the_recording() -> None:
    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        words = (Word("early", -0.1, 0.5), Word("late", 3.98, 4.04), Word("later", 4.04, 4.08))
        return [Hypothesis("early late later", words) for _ in waveforms]

    (segment,) = transcribe([noise(1, 0.0), noise(2), noise(1, 0.0)], recognize).segments
    assert (segment.start, segment.end) == (0.0, 4.0)
    assert all(0 <= word.start < word.end <= 4.0 for word in segment.words)
    assert [word.start for word in segment.words] == sorted(word.start for word in segment.words)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0.001, 6), st.sampled_from([0.0, 3e-5, 0.003, 0.3])), min_size=1, max_size=6),
    st.lists(st.tuples(st.floats(-1, 12), st.floats(0, 2)), max_size=3),
)
def test_times_rise_within_the_recording(parts: list[tuple[float, float]], words: list[tuple[float, float]]) -> None:
    spoken = tuple(Word("a", start, start + size) for start, size in sorted(words))
    sound = [noise(seconds, level) for seconds, level in parts]
    transcript = transcribe(sound, lambda some: [Hypothesis("a", spoken) for _ in some], max_segment_s=5)
    times = [(segment.start, segment.end) for segment in transcript.segments]
    assert all(0 <= start < end <= transcript.duration + 1e-9 for start, end in times)
    assert all(before[1] <= after[0] + 1e-9 for before, after in itertools.pairwise(times))
    for segment in transcript.segments:
        assert all(segment.start <= word.start < word.end <= segment.end for word in segment.words)


def test_where_nothing_was_understood_there_is_no_segment() -> None:
    answers = iter(["first", " ", "last"])
    transcript = transcribe(
        [noise(8), noise(30, 0.0), noise(8), noise(30, 0.0), noise(8)],
        lambda waveforms: [Hypothesis(next(answers)) for _ in waveforms],
        max_segment_s=10,
    )
    assert transcript.text == "first last"
    assert [segment.text for segment in transcript.segments] == ["first", "last"]


def test_no_sound_is_an_empty_transcript() -> None:
    assert transcribe([], lengths) == Transcript("", (), 0.0)
    assert transcribe([noise(60, 0.0)], lengths) == Transcript("", (), 60.0)
    assert transcribe([noise(10, 0.0)], lengths) == Transcript("", (), 10.0)


def test_batches_stay_below_their_padded_seconds_and_use_them() -> None:
    batches: list[list[int]] = []

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        batches.append([len(waveform) for waveform in waveforms])
        return lengths(waveforms)

    transcribe([noise(200)], recognize, max_segment_s=10, batch_s=30)
    padded = [max(batch) * len(batch) / SAMPLE_RATE for batch in batches]
    assert max(padded) <= 30
    assert min(len(batch) for batch in batches[:-1]) >= 3


def test_a_segment_longer_than_a_batch_goes_alone() -> None:
    transcript = transcribe([noise(50)], lengths, max_segment_s=10, batch_s=1)
    assert transcript.segments[-1].end == 50.0


def test_progress_rises_to_the_duration() -> None:
    reported: list[float] = []
    transcribe([noise(100), noise(20, 0.0)], lengths, max_segment_s=10, batch_s=20, progress=reported.append)
    assert len(reported) > 5
    assert reported == sorted(reported)
    assert reported[-1] == 120.0


def test_an_hour_is_recognized_while_it_is_read() -> None:
    read = recognized_s = largest_lag_s = 0.0
    second = noise(1)

    def hour() -> Iterator[Waveform]:
        nonlocal read
        for _ in range(3600):
            read += 1
            yield second

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        nonlocal recognized_s, largest_lag_s
        largest_lag_s = max(largest_lag_s, read - recognized_s)
        recognized_s += sum(map(len, waveforms)) / SAMPLE_RATE
        return lengths(waveforms)

    transcript = transcribe(hour(), recognize, max_segment_s=28, batch_s=60)
    assert transcript.duration == 3600
    assert recognized_s == pytest.approx(3600)
    assert largest_lag_s <= 60 + 2 * 28 + 1
