from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.errors import AudioError, ConfigError
from speechxfer.inference import Segment, Settings, Transcript, events, transcribe_many


def noise(seconds: float, level: float = 0.3) -> Waveform:
    return np.random.default_rng(0).uniform(-level, level, int(seconds * SAMPLE_RATE)).astype(np.float32)


def lengths(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
    """The number of whole seconds as text, said from the half second on."""
    return [
        Hypothesis(f" {len(w) // SAMPLE_RATE} ", (Word(f"{len(w) // SAMPLE_RATE}", 0.5, 1.0, 0.9),), 0.8)
        for w in waveforms
    ]


def transcribe(blocks: Iterable[Waveform], recognize: Any, progress: Any = None, **settings: Any) -> Transcript:
    (transcript,) = transcribe_many([lambda: blocks], recognize, Settings(**settings), progress)
    if isinstance(transcript, Exception):
        raise transcript
    return transcript


def test_a_short_recording_is_one_segment() -> None:
    transcript = transcribe([noise(3)], lengths)
    segment = Segment(0.0, 3.0, "3", (Word("3", 0.5, 1.0, 0.9),), 0.8)
    assert transcript == Transcript("3", (segment,), 3.0)


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
    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        return [Hypothesis(" " if 8 < len(waveform) / SAMPLE_RATE < 9 else "word") for waveform in waveforms]

    transcript = transcribe([noise(7), noise(30, 0.0), noise(8), noise(30, 0.0), noise(9)], recognize, max_segment_s=10)
    assert transcript.text == "word word"
    assert [round(segment.start) for segment in transcript.segments] == [0, 75]


def test_no_sound_is_an_empty_transcript() -> None:
    assert transcribe([], lengths) == Transcript("", (), 0.0)
    assert transcribe([noise(60, 0.0)], lengths) == Transcript("", (), 60.0)
    assert transcribe([noise(10, 0.0)], lengths) == Transcript("", (), 10.0)


def batches_of(recordings: Sequence[Waveform], **settings: Any) -> list[list[float]]:
    """Seconds of the segments in each batch."""
    found: list[list[float]] = []

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        found.append([round(len(waveform) / SAMPLE_RATE, 1) for waveform in waveforms])
        return lengths(waveforms)

    list(transcribe_many([lambda one=one: [one] for one in recordings], recognize, Settings(**settings)))
    return found


def test_batches_cost_as_much_as_they_may() -> None:
    (batch, *_) = batches_of([noise(10)] * 20, batch_s=40, ahead_s=200)[1:]
    assert batch == [10.0, 10.0, 10.0]


def test_segments_of_several_recordings_share_a_batch_with_those_of_their_length() -> None:
    found = batches_of([noise(seconds) for seconds in (2, 7, 2, 7, 2, 7, 2, 7)])
    assert sorted(found[-1] + found[-2]) == [2.0] * len(found[-1]) + [7.0] * len(found[-2])
    assert sum(map(len, found)) == 8


def test_a_segment_longer_than_a_batch_goes_alone() -> None:
    found = batches_of([noise(50)], max_segment_s=10, batch_s=1, ahead_s=1)
    assert found == [[10.0]] * 6 + [[5.0]]


def test_progress_rises_to_the_duration() -> None:
    reported: list[float] = []
    blocks = [noise(100), noise(20, 0.0)]
    transcribe(blocks, lengths, lambda _, seconds: reported.append(seconds), max_segment_s=10, ahead_s=20)
    assert len(reported) > 5
    assert reported == sorted(reported)
    assert reported[-1] == 120.0


def test_a_long_recording_is_recognized_while_it_is_read() -> None:
    read = recognized_s = largest_lag_s = 0.0
    second = noise(1)

    def ten_minutes() -> Iterator[Waveform]:
        nonlocal read
        for _ in range(600):
            read += 1
            yield second

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        nonlocal recognized_s, largest_lag_s
        largest_lag_s = max(largest_lag_s, read - recognized_s)
        recognized_s += sum(map(len, waveforms)) / SAMPLE_RATE
        return lengths(waveforms)

    transcript = transcribe(ten_minutes(), recognize, max_segment_s=28, ahead_s=60)
    assert transcript.duration == 600
    assert recognized_s >= 600
    assert largest_lag_s <= 60 + 2 * 28 + 1


def pauses(blocks: int) -> Iterator[Waveform]:
    for _ in range(blocks):
        yield noise(0.8)
        yield noise(0.2, 0.0)


def test_segments_come_while_the_recording_is_read() -> None:
    read = 0

    def hour() -> Iterator[Waveform]:
        nonlocal read
        for block in pauses(3600):
            read += 1
            yield block

    index, event = next(events([hour], lengths, Settings()))
    assert index == 0
    assert isinstance(event, Segment)
    assert read < 200


def torn() -> Iterator[Waveform]:
    yield from pauses(70)
    raise AudioError("torn.wav: ends early")


def test_what_is_wrong_with_a_recording_takes_its_place() -> None:
    good, long = [noise(3)], list(pauses(100))
    transcripts = list(transcribe_many([lambda: good, torn, lambda: long, lambda: good], lengths, Settings()))
    assert isinstance(transcripts[1], AudioError)
    alone = [transcribe(good, lengths), transcribe(long, lengths)]
    assert [transcripts[0], *transcripts[2:]] == [*alone, alone[0]]


def test_what_cannot_be_recognized_fails_alone() -> None:
    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        if any(4 <= len(waveform) / SAMPLE_RATE < 5 for waveform in waveforms):
            raise MemoryError
        return lengths(waveforms)

    recordings = [lambda seconds=seconds: [noise(seconds)] for seconds in (4.2, 4.1, 4.0, 3.9)]
    found = list(transcribe_many(recordings, recognize, Settings()))
    assert [type(one) for one in found] == [MemoryError] * 3 + [Transcript]


def test_a_batch_that_does_not_fit_is_divided() -> None:
    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        if len(waveforms) > 2:
            raise MemoryError
        return lengths(waveforms)

    found = list(transcribe_many([lambda: [noise(3)]] * 9, recognize, Settings()))
    assert [one.text for one in found if isinstance(one, Transcript)] == ["3"] * 9


@pytest.mark.parametrize(("workers", "most"), [(0, 300), (1, 900)])  # a thread is ahead
def test_of_a_recording_that_failed_no_more_is_read(workers: int, most: int) -> None:
    read = 0

    def hour() -> Iterator[Waveform]:
        nonlocal read
        for block in pauses(3600):
            read += 1
            yield block

    def recognize(_waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        raise RuntimeError("no")

    (error,) = transcribe_many([hour], recognize, Settings(workers=workers))
    assert isinstance(error, RuntimeError)
    assert read < most


def test_wrong_options_end_it() -> None:
    def recognize(_waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        raise ConfigError("language is 'xx'")

    with pytest.raises(ConfigError):
        list(transcribe_many([lambda: [noise(3)]], recognize, Settings()))


def test_words_of_an_overlap_are_written_once() -> None:
    """Sound without a pause, of which a word is said each second; those at the edges are misunderstood."""

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        found = []
        for waveform in waveforms:
            first = float(waveform[0])  # as written below
            seconds = [first + second for second in range(len(waveform) // SAMPLE_RATE)]
            texts = ["x", *(f"w{second:.0f}" for second in seconds[1:-1]), "x"]
            words = [Word(text, place + 0.2, place + 0.8) for place, text in enumerate(texts)]
            found.append(Hypothesis(" ".join(texts), tuple(words)))
        return found

    size = 60 * SAMPLE_RATE
    sound = np.arange(size) // SAMPLE_RATE + np.tile([0, 0.1], size // 2)
    transcript = transcribe([sound.astype(np.float32)], recognize, max_segment_s=20)
    assert transcript.text.split() == ["x", *(f"w{second}" for second in range(1, 59)), "x"]
    assert len(transcript.segments) > 3
    starts = [word.start for segment in transcript.segments for word in segment.words]
    assert starts == sorted(starts)


@pytest.mark.parametrize("workers", [1, 3])
def test_reading_in_threads_changes_nothing(workers: int) -> None:
    good, long = [noise(3)], list(pauses(100))
    recordings = [lambda: good, torn, lambda: long, *[lambda: good] * 20, torn, lambda: long]
    alone = list(transcribe_many(recordings, lengths, Settings()))
    before = threading.active_count()
    together = list(transcribe_many(recordings, lengths, Settings(workers=workers)))
    assert list(map(str, together)) == list(map(str, alone))
    assert threading.active_count() == before


def test_recordings_are_read_in_threads_while_others_are_recognized() -> None:
    opened = 0
    seen = threading.Event()

    def recording() -> Iterator[Waveform]:
        nonlocal opened
        opened += 1
        if opened > 6:
            seen.set()
        yield noise(20)

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        assert seen.wait(30)  # a batch that takes long
        return lengths(waveforms)

    found = transcribe_many([recording] * 200, recognize, Settings(workers=2))
    assert isinstance(next(found), Transcript)
    assert opened < 30  # but no more than two windows
    found.close()  # type: ignore[attr-defined]
