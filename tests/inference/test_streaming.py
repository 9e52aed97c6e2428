"""Streams, with a function in place of a model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Hypothesis, Word
from speechxfer.errors import AudioError, ConfigError
from speechxfer.inference.streaming import STEP, Stream, StreamResult
from speechxfer.inference.transcribing import Settings, transcribe_many
from speechxfer.inference.voice_activity import detector
from speechxfer.inference.voice_activity.detector import CHUNK
from tests.inference.synthetic_speech import speech

ENERGY = detector("energy")


def silence(seconds: float) -> Waveform:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def sums(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
    """A text that is another wherever the waveform is another, with one word that lasts as long."""
    texts = [f"{len(w)}-{float(np.abs(w).sum()):.3f}" for w in waveforms]
    return [Hypothesis(text, (Word(text, 0.0, len(w) / SAMPLE_RATE),), 0.5) for text, w in zip(texts, waveforms, strict=True)]  # fmt: skip  # noqa: E501


def chopped(samples: Any, sizes: Sequence[int]) -> Iterator[Any]:
    """The same samples in chunks of these sizes, again and again."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(samples):
            return
        yield samples[at : at + size]
        at += size


def results(
    samples: Any, sizes: Sequence[int] = (STEP,), rate: float = SAMPLE_RATE, recognize: Any = sums, **options: Any
) -> list[StreamResult]:
    stream = Stream(recognize, rate, detector=options.pop("detector", ENERGY), **options)
    return list(stream.results(chopped(samples, sizes)))


def finals(*arguments: Any, **options: Any) -> list[StreamResult]:
    return [result for result in results(*arguments, **options) if result.final]


SPOKEN = np.concatenate([silence(0.5), speech(2), silence(3), speech(1, seed=1), silence(2), speech(1.5, seed=2)])


def test_each_utterance_ends_with_a_final_result() -> None:
    found = finals(SPOKEN)
    assert [one.end for one in found] == pytest.approx([2.5, 6.5, 10.0], abs=0.4)
    assert all(one.words[0].text == one.text for one in found)
    assert [one.words[0].start for one in found] == pytest.approx([0.0, 5.25, 8.25], abs=0.1)


def test_partial_results_grow_until_the_final_one_takes_their_place() -> None:
    found = results(SPOKEN[: 4 * SAMPLE_RATE])
    kinds = [one.final for one in found]
    assert kinds == [False] * (len(found) - 1) + [True]
    assert len(found) > 8
    ends = [one.end for one in found]
    assert ends == sorted(ends)


@pytest.mark.parametrize("pause_s", [0.1, 0.5, 1.0, 1.4])
def test_a_result_is_final_soon_after_a_pause_began(pause_s: float) -> None:
    stream = Stream(sums, SAMPLE_RATE, detector=ENERGY, pause_s=pause_s)
    spoken_s = 2.5
    for number, chunk in enumerate(chopped(SPOKEN, [STEP]), start=1):
        if any(result.final for result in stream.feed(chunk)):
            assert number * STEP / SAMPLE_RATE <= spoken_s + pause_s + 2 * STEP / SAMPLE_RATE
            return
    pytest.fail("no final result")


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=4), st.sampled_from([16_000, 8_000, 44_100]))
def test_final_results_do_not_depend_on_the_sizes_of_chunks(sizes: list[int], rate: int) -> None:
    if sum(sizes) < 40 * len(sizes):
        sizes = [*sizes, 5_000]
    assert finals(SPOKEN, sizes, rate) == finals(SPOKEN, [len(SPOKEN)], rate)


def test_partial_results_of_large_chunks_are_among_those_of_small_ones() -> None:
    small = {(one.start, one.text) for one in results(SPOKEN, [STEP])}
    large = {(one.start, one.text) for one in results(SPOKEN, [3 * STEP])}
    assert large < small


def test_the_segments_are_those_of_a_recording() -> None:
    samples = np.concatenate([silence(3), SPOKEN, silence(3), SPOKEN[SAMPLE_RATE:], silence(3)])
    (offline,) = transcribe_many([lambda: [samples]], sums, Settings(detector=ENERGY))
    assert not isinstance(offline, Exception)
    found = finals(samples)
    assert [one.text for one in found] == [one.text for one in offline.segments]
    assert [(one.start, one.words) for one in found] == [(one.start, one.words) for one in offline.segments]


def test_a_short_recording_is_recognized_as_a_whole() -> None:
    samples = np.concatenate([silence(0.5), speech(2.0), silence(0.5)])
    (offline,) = transcribe_many([lambda: [samples]], sums, Settings(detector=ENERGY))
    assert not isinstance(offline, Exception)
    assert [one.text for one in finals(samples)] == [offline.text]


def test_speech_without_pauses_is_cut_at_the_longest_segment() -> None:
    found = finals(speech(30.0), max_segment_s=5.0)
    assert len(found) > 5
    assert all(one.end - one.start <= 5.0 for one in found)


def test_a_word_that_is_cut_off_gives_what_there_is() -> None:
    assert [one.final for one in finals(speech(0.5))] == [True]


@pytest.mark.parametrize("samples", [silence(4.0), silence(0.0), 0.001 * np.random.default_rng(0).normal(size=80_000)])
def test_silence_and_noise_are_no_text(samples: Any) -> None:
    called: list[int] = []
    assert results(samples, recognize=lambda some: called.append(1) or sums(some)) == []
    assert called == []


def test_a_partial_result_that_was_no_speech_is_taken_back() -> None:
    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        return [Hypothesis("ah" if len(one) < SAMPLE_RATE else "") for one in waveforms]

    found = results(np.concatenate([speech(2.0), silence(3.0)]), recognize=recognize)
    assert [(one.text, one.final) for one in found] == [("ah", False), ("", False)]


def test_partial_results_can_be_left_out() -> None:
    lengths: list[int] = []

    def recognize(waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        lengths.extend(map(len, waveforms))
        return sums(waveforms)

    assert results(SPOKEN, recognize=recognize, partials=False) == finals(SPOKEN)
    assert len(lengths) == 3


def test_a_slow_model_gives_fewer_partial_results(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=1)  # each call lasts a second
    monkeypatch.setattr("speechxfer.inference.streaming.time.perf_counter", lambda: next(clock))
    partial = [one for one in results(speech(10.0)) if not one.final]
    assert len(partial) == 5


def test_another_rate_is_refused_by_name() -> None:
    stream = Stream(sums, 16_000, detector=ENERGY)
    stream.feed(silence(1.0), 16_000)
    with pytest.raises(AudioError, match=r"the sample rate is 48,000 Hz at 1\.000 s, after 16,000 Hz; finish this"):
        stream.feed(silence(1.0), 48_000)


@pytest.mark.parametrize("pause_s", [0.0, float("nan"), float("inf")])
def test_a_pause_that_is_no_length_is_refused(pause_s: float) -> None:
    with pytest.raises(ConfigError, match="pause_s is"):
        Stream(sums, 16_000, pause_s=pause_s)


def test_segments_begin_where_a_recording_s_do_also_if_the_detector_is_late() -> None:
    """It finds the beginning of speech only when it sees a whole chunk."""

    def late(chunk: Waveform) -> Any:
        flags = ENERGY.start()(chunk)
        if len(chunk) < CHUNK and flags.any():
            first = int(flags.argmax())
            flags[first : first + 20] = False
        return flags

    slow = replace(ENERGY, start=lambda: late)
    samples = np.concatenate([silence(4), SPOKEN, silence(3)])
    (offline,) = transcribe_many([lambda: [samples]], sums, Settings(detector=slow))
    assert not isinstance(offline, Exception)
    assert [one.start for one in finals(samples, detector=slow)] == [one.start for one in offline.segments]


def test_a_finished_stream_takes_no_more() -> None:
    stream = Stream(sums, 16_000, detector=ENERGY)
    assert stream.finish() == []
    with pytest.raises(ConfigError, match="finished; open another"):
        stream.feed(silence(1.0))


def test_memory_does_not_grow() -> None:
    stream = Stream(sums, SAMPLE_RATE, detector=ENERGY, partials=False)
    held = []
    for _ in range(20):
        for chunk in chopped(SPOKEN, [STEP]):
            stream.feed(chunk)
        held.append(sum(len(one) for one in (stream._waiting, stream._cutter._samples, stream._marking._samples)))
    assert max(held) < 12 * SAMPLE_RATE
