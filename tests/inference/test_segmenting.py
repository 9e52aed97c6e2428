from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.errors import ConfigError
from speechxfer.inference.segmenting import segments
from speechxfer.inference.silence import HOP, audible
from speechxfer.inference.voice_activity import Detector
from speechxfer.inference.voice_activity.detector import CHUNK

MAX_S = 1.5
INAUDIBLE = 5e-5  # amplitude of noise below hearing

# (seconds, amplitude): digital silence, noise below hearing, room noise, speech
stretches = st.lists(
    st.tuples(st.floats(0.001, 4.5), st.sampled_from([0.0, INAUDIBLE, 0.003, 0.3])),
    min_size=1,
    max_size=6,
)


def sound(*parts: tuple[float, float], seed: int = 0) -> Waveform:
    """Noise, each part of so many seconds at such an amplitude."""
    random = np.random.default_rng(seed)
    pieces = [random.uniform(-level, level, int(seconds * SAMPLE_RATE)) for seconds, level in parts]
    return np.concatenate(pieces).astype(np.float32)


def chopped(waveform: Waveform, size: int) -> Iterator[Waveform]:
    for at in range(0, len(waveform), size):
        yield waveform[at : at + size]


def lasting(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where flags are set or are so again within a hop, as [start, stop)."""
    found: list[tuple[int, int]] = []
    for place in np.flatnonzero(flags):
        if found and place - found[-1][1] < HOP:
            found[-1] = (found[-1][0], int(place) + 1)
        else:
            found.append((int(place), int(place) + 1))
    return found


def spans(waveform: Waveform, max_segment_s: float = MAX_S, block: int = SAMPLE_RATE) -> list[tuple[int, int]]:
    found = []
    for piece in segments(chopped(waveform, block), max_segment_s=max_segment_s):
        start = round(piece.start * SAMPLE_RATE)
        assert np.array_equal(piece.waveform, waveform[start : start + len(piece.waveform)])
        found.append((start, start + len(piece.waveform)))
    return found


@settings(max_examples=60)
@given(stretches)
def test_everything_audible_is_in_a_segment(parts: list[tuple[float, float]]) -> None:
    waveform = sound(*parts)
    covered = np.zeros(len(waveform), int)
    for start, stop in spans(waveform):
        covered[start:stop] += 1
    assert covered.max(initial=0) <= 2
    loud = np.abs(waveform) >= 2 * INAUDIBLE
    # What lasts less than 30 ms, or what is left of a sound after a cut, may count as a click.
    lost = loud & (covered == 0)
    assert all(stop - start <= 3 * HOP for start, stop in lasting(lost))


@settings(max_examples=60)
@given(stretches)
def test_no_segment_holds_a_long_silence(parts: list[tuple[float, float]]) -> None:
    waveform = sound(*parts)
    for start, stop in [*spans(waveform, max_segment_s=20), *spans(waveform)]:
        quiet = [len(list(run)) for is_loud, run in itertools.groupby(audible(waveform[start:stop])) if not is_loud]
        assert max(quiet, default=0) * HOP <= 2 * SAMPLE_RATE
        assert audible(waveform[start:stop]).any()


@settings(max_examples=60)
@given(stretches)
def test_segments_are_in_order_not_empty_and_not_too_long(parts: list[tuple[float, float]]) -> None:
    found = spans(sound(*parts))
    assert all(0 < stop - start <= MAX_S * SAMPLE_RATE for start, stop in found)
    pieces = list(segments([sound(*parts)], max_segment_s=MAX_S))
    for before, after in itertools.pairwise(pieces):
        assert before.end - after.start <= (MAX_S / 4 if before.is_continued else 0) + 1e-9
        assert before.start < after.start
        assert before.end < after.end


@settings(max_examples=60)
@given(stretches, st.integers(50, 5 * SAMPLE_RATE))
def test_the_lengths_of_the_blocks_do_not_matter(parts: list[tuple[float, float]], block: int) -> None:
    waveform = sound(*parts)
    assert spans(waveform, block=block) == spans(waveform, block=len(waveform) + 1)


@pytest.mark.parametrize("quiet_s", [0.0, 0.4, 1.9])
def test_what_fits_and_has_no_long_silence_is_passed_on_as_it_is(quiet_s: float) -> None:
    waveform = sound((quiet_s, 0.0), (1, 0.3), (quiet_s, 0.0), (1, 0.3), (quiet_s, 0.0))
    assert spans(waveform, max_segment_s=10) == [(0, len(waveform))]


def test_what_fits_is_parted_at_long_silences() -> None:
    found = spans(sound((16, 0.0), (2, 0.3), (2.5, 0.0), (1, 0.3), (3, 0.0)), max_segment_s=28)
    assert np.divide(found, SAMPLE_RATE) == pytest.approx(np.array([(15.75, 18.25), (20.25, 21.75)]), abs=0.001)


@pytest.mark.parametrize("seconds", [1 / SAMPLE_RATE, 0.02, 0.5, 10, 300])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_silence_of_any_length_has_no_segments(seconds: float, offset: float) -> None:
    waveform = np.full(round(seconds * SAMPLE_RATE), offset, np.float32)
    assert spans(waveform, max_segment_s=28) == []


def test_nothing_gives_nothing() -> None:
    assert list(segments([], max_segment_s=MAX_S)) == []
    assert list(segments([np.empty(0, np.float32)], max_segment_s=MAX_S)) == []


def test_cuts_in_the_middle_of_the_longest_pause_of_the_second_half() -> None:
    quiet, speech = 0.003, 0.3
    parts = [(6, speech), (0.2, quiet), (1, speech), (0.6, quiet), (1, speech), (0.2, quiet), (5, speech)]
    (_, cut), *_ = spans(sound((0.3, quiet), *parts), max_segment_s=10)
    assert cut / SAMPLE_RATE == pytest.approx(7.8, abs=0.02)


def test_prefers_the_deeper_of_two_pauses() -> None:
    speech = sound((6, 0.3), (0.5, 0.05), (1, 0.3), (0.5, 0.003), (2, 0.3), (2, 0.3))
    (_, cut), *_ = spans(speech, max_segment_s=10)
    assert cut / SAMPLE_RATE == pytest.approx(7.75, abs=0.02)


@pytest.mark.parametrize("room", [0.0, 0.001, 0.03])
def test_finds_pauses_whatever_the_noise_in_the_room(room: float) -> None:
    waveform = sound(*[(1.7, 0.3), (0.4, room)] * 20)
    for _, stop in spans(waveform, max_segment_s=6)[:-1]:
        assert stop / SAMPLE_RATE % 2.1 >= 1.7


def test_without_a_pause_two_segments_overlap() -> None:
    pieces = list(segments([sound((60, 0.3))], max_segment_s=28))
    assert [piece.start for piece in pieces] == [0, 24, 48]
    assert [piece.is_continued for piece in pieces] == [True, True, False]


def test_without_overlap_cuts_in_the_quietest_frame() -> None:
    waveform = sound((12, 0.3))
    dip = round(7.3 * SAMPLE_RATE)
    waveform[dip : dip + SAMPLE_RATE // 50] *= 0.5
    first, second = segments([waveform], max_segment_s=10, overlapping=False)
    assert first.end == second.start == pytest.approx(7.31, abs=0.011)


def test_long_silence_is_left_out() -> None:
    found = spans(sound((60, 0.0), (3, 0.3), (100, INAUDIBLE), (2, 0.3), (60, 0.0)), max_segment_s=20)
    assert np.divide(found, SAMPLE_RATE) == pytest.approx(np.array([(59.75, 63.25), (162.75, 165.25)]), abs=0.001)


def test_a_long_recording_is_cut_while_it_is_read() -> None:
    second = sound((0.8, 0.3), (0.2, 0.0))
    read = 0

    def ten_minutes() -> Iterator[Waveform]:
        nonlocal read
        for _ in range(600):
            read += 1
            yield second

    seen_s = 0.0
    for piece in segments(ten_minutes(), max_segment_s=28):
        assert read - seen_s <= 28 + 2 * CHUNK / SAMPLE_RATE + 1.001
        seen_s = piece.end
    assert seen_s == read == 600


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.99, float("inf"), float("nan")])
def test_refuses_a_limit_that_is_no_length(seconds: float) -> None:
    with pytest.raises(ConfigError, match="max_segment_s"):
        segments([], max_segment_s=seconds)


def _loud(chunk: np.ndarray) -> np.ndarray:
    """Flags the hops that a detector of loud sound calls speech."""
    padded = np.append(chunk, np.zeros(-len(chunk) % 160, np.float32))
    flags: np.ndarray = np.abs(padded.reshape(-1, 160)).max(axis=1) > 0.5
    return flags


def test_a_short_recording_keeps_soft_words_that_the_detector_misses() -> None:
    detector = Detector(lambda: _loud, shortest=1, longest_pause=70, margin=10)
    soft, loud = np.full(16_000, 0.1, np.float32), np.full(16_000, 0.6, np.float32)
    soft[::2] *= -1
    loud[::2] *= -1
    short = np.concatenate([soft[:12_000], loud, soft, loud])
    (whole,) = segments([short], max_segment_s=28.0, detector=detector)
    assert (whole.start, len(whole.waveform)) == (0.0, len(short))
    (later,) = segments([np.concatenate([soft, soft, soft, loud])], max_segment_s=28.0, detector=detector)
    assert 2.8 < later.start < 3.0
    assert len(list(segments([short], max_segment_s=2.0, detector=detector))) > 1
