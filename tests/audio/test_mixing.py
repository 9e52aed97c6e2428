"""Several channels become one, in which everything is audible that is in one of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer import audio
from speechxfer.audio.mixing import mixed
from speechxfer.audio.pieces import Piece
from speechxfer.errors import AudioError
from tests.audio.sounds import chirp, noise, tone, wav_bytes

SPEECH = noise(5, seed=1)
SILENCE = np.zeros_like(SPEECH)
SOUNDS = ("speech", "inverted", "other", "silent", "constant", "late")


def mono(*channels: np.ndarray, rate: int = 16_000) -> np.ndarray:
    return audio.load(wav_bytes(np.stack(channels, axis=1), rate, subtype="FLOAT"))


def test_channels_are_averaged() -> None:
    left, right = tone(440, 1, 44_100), tone(1_000, 1, 44_100)
    stereo = mono(left, right, rate=44_100)
    np.testing.assert_allclose(stereo, audio.from_array((left + right) / 2, 44_100), atol=1e-5)
    assert audio.info(wav_bytes(np.stack([left] * 3, axis=1), 44_100)).channels == 3


@pytest.mark.parametrize(
    "channels",
    [
        (SPEECH, SPEECH),
        (SPEECH, -SPEECH),
        (-SPEECH, SPEECH),
        (SPEECH, SILENCE),
        (SILENCE, SPEECH),
        (SPEECH, SILENCE + 0.4),
        (SILENCE - 0.4, SPEECH),
        (SILENCE, SILENCE, SPEECH, SILENCE, SILENCE, SILENCE),
        (SPEECH, -SPEECH, SPEECH, SILENCE),
    ],
)
def test_a_voice_keeps_its_level(channels: tuple[np.ndarray, ...]) -> None:
    """Whichever channels it is in, and whichever way up."""
    sound = mono(*channels)
    sign = np.sign(sound @ SPEECH)
    np.testing.assert_allclose(sign * sound, SPEECH, atol=1e-5)


def test_a_quiet_channel_is_never_left_out() -> None:
    """The customer, 40 dB below the agent, is still audible."""
    agent, customer = noise(5, seed=1), 0.01 * noise(5, seed=2)
    sound = mono(agent, customer)
    np.testing.assert_allclose(sound, (agent + customer) / 2, atol=1e-5)


def test_voices_in_turn_are_both_there() -> None:
    agent, customer = SPEECH.copy(), noise(5, seed=2)
    agent[32_000:] = 0
    customer[:32_000] = 0
    sound = mono(agent, customer)
    np.testing.assert_allclose(sound[:32_000], agent[:32_000], atol=1e-5)
    np.testing.assert_allclose(sound[32_200:], customer[32_200:], atol=1e-5)


def test_noise_of_the_line_does_not_hide_an_inverted_channel() -> None:
    sound = mono(SPEECH + 0.03 * noise(5, seed=2), -SPEECH + 0.03 * noise(5, seed=3))
    assert np.corrcoef(sound, SPEECH)[0, 1] > 0.95


def test_unrelated_channels_are_never_turned() -> None:
    for seed in range(20):
        first, second = noise(2, seed=seed), noise(2, seed=100 + seed)
        np.testing.assert_allclose(mono(first, second), (first + second) / 2, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    channels=st.lists(st.sampled_from(SOUNDS), min_size=2, max_size=6),
    start=st.floats(0, 4.5), duration=st.floats(0.05, 2.0), block_s=st.floats(0.01, 3),
    rate=st.sampled_from([8_000, 16_000]),
)  # fmt: skip
def test_an_excerpt_is_mixed_as_in_the_whole(
    channels: list[str], start: float, duration: float, block_s: float, rate: int
) -> None:
    sounds = {
        "speech": noise(5, rate, 1), "inverted": -noise(5, rate, 1), "other": 0.3 * noise(5, rate, 2),
        "silent": np.zeros(5 * rate), "constant": np.full(5 * rate, 0.2),
        "late": np.where(np.arange(5 * rate) < 2.3 * rate, 0, noise(5, rate, 3)),
    }  # fmt: skip
    content = wav_bytes(np.stack([sounds[name] for name in channels], axis=1), rate, subtype="FLOAT")
    whole = audio.load(content)
    np.testing.assert_allclose(np.concatenate(list(audio.blocks(content, block_s=block_s))), whole, atol=1e-6)
    excerpt = audio.load(content, start=start, duration=min(duration, 5 - start))
    if rate == 16_000:  # else resampling cannot see what lies beyond the ends
        first = round(start * 16_000)
        np.testing.assert_allclose(excerpt, whole[first : first + len(excerpt)], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 5_000), max_size=8), gap=st.integers(0, 700))
def test_pieces_do_not_matter(cuts: list[int], gap: int) -> None:
    samples = np.stack([noise(5, 1_000, 1), -noise(5, 1_000, 1)], axis=1)
    samples[2_000:, 1] = 0
    bounds = [0, *sorted(cuts), 5_000]
    pieces = [Piece(gap + a, 1_000, samples[a:b]) for a, b in itertools.pairwise(bounds)]
    found = np.concatenate([piece.samples for piece in mixed(pieces)])
    whole = np.concatenate([piece.samples for piece in mixed([Piece(gap, 1_000, samples)])])
    np.testing.assert_allclose(found, whole, atol=1e-6)


def test_weights_change_without_a_click() -> None:
    """Where a channel falls silent, the other fades to its own level."""
    left, right = chirp(4, 16_000), chirp(4, 16_000).copy()
    right[32_000:] = 0
    sound = mono(left, right)
    assert np.abs(np.diff(sound)).max() < 1.2 * np.abs(np.diff(left)).max()


def test_one_channel_is_chosen(tmp_path: Path) -> None:
    agent, customer = noise(3, seed=1), noise(3, seed=2)
    path = tmp_path / "call.wav"
    sf.write(path, np.stack([agent, customer], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(audio.load(path, channel=0), agent, atol=1e-6)
    np.testing.assert_allclose(audio.load(path, channel=1, start=1, duration=1), customer[16_000:32_000], atol=1e-6)
    np.testing.assert_allclose(np.concatenate(list(audio.blocks(path, channel=1))), customer, atol=1e-6)
    np.testing.assert_allclose(audio.from_array(np.stack([agent, customer]), 16_000, channel=1), customer, atol=1e-6)
    ((_, stored),) = audio.as_stored(path, channel=1)
    np.testing.assert_allclose(stored[:, 0], customer, atol=1e-6)
    for wrong in (2, -1):
        with pytest.raises(AudioError, match=f"channel {wrong} is wanted; the file has 2 channels, numbers 0 to 1"):
            audio.load(path, channel=wrong)
    for start in (0, 1):
        with pytest.raises(AudioError, match="1 channel, number 0"):
            audio.load(wav_bytes(agent), channel=1, start=start)
