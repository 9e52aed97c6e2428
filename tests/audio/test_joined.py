"""Files joined one after the other, and chains of Ogg streams, are read to their end."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer import audio
from speechxfer.audio.links import links
from speechxfer.errors import TruncatedAudioError
from tests.audio.sounds import chirp, encode, encode_parts, misplaced, noise, peak_hz, tone, wav_bytes

LIBSNDFILE = {
    "wav": {"format": "WAV"},
    "aiff": {"format": "AIFF"},
    "flac": {"format": "FLAC"},
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}


def content(kind: str, samples: np.ndarray, rate: int, folder: Path) -> bytes:
    if kind in LIBSNDFILE:
        return wav_bytes(samples, rate, **LIBSNDFILE[kind])
    options = {"movflags": "empty_moov+frag_keyframe"} if kind == "mp4" else {}
    return encode(folder / f"part.{kind}", samples, rate, **options).read_bytes()


@pytest.mark.parametrize("kind", [*LIBSNDFILE, "m4a", "mp4", "amr", "aac", "webm"])
def test_two_files_joined_are_both_read(tmp_path: Path, kind: str) -> None:
    rate = {"opus": 48_000, "webm": 48_000, "amr": 8_000}.get(kind, 16_000)
    first, second = (content(kind, tone(hz, 2, rate), rate, tmp_path) for hz in (400, 900))
    whole = audio.load(first + second)
    assert len(whole) / 16_000 == pytest.approx(4, abs=0.26)  # encoders add some to either, which is not always stated
    assert peak_hz(whole[8_000:24_000]) == pytest.approx(400, abs=2)
    assert peak_hz(whole[-24_000:-8_000]) == pytest.approx(900, abs=2)
    assert audio.info(first + second).duration == pytest.approx(len(whole) / 16_000, abs=0.05)
    assert sum(map(len, audio.blocks(first + second, block_s=0.7))) == len(whole)


@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis", "opus", "mp3", "m4a"])
@pytest.mark.parametrize("start", [0.5, 1.75, 2.5])
def test_an_excerpt_of_joined_files_lies_where_it_lies_in_the_whole(tmp_path: Path, kind: str, start: float) -> None:
    rate = 48_000 if kind == "opus" else 16_000
    sound = chirp(4, rate)
    joined = b"".join(content(kind, part, rate, tmp_path) for part in (sound[: 2 * rate], sound[2 * rate :]))
    whole, first = audio.load(joined), round(start * 16_000)
    excerpt = audio.load(joined, start=start, duration=0.75)
    shift, difference = misplaced(excerpt, whole[first - 32 : first + 12_000 + 32])
    assert abs(shift) <= 8
    assert difference < 0.03


@pytest.mark.parametrize("kind", ["flac", "vorbis", "mp3", "aac", "wav"])
def test_parts_may_differ_in_rate_and_channels(tmp_path: Path, kind: str) -> None:
    mono, stereo = tone(400, 2, 16_000), np.stack([tone(900, 3, 44_100)] * 2, axis=1)
    joined = content(kind, mono, 16_000, tmp_path) + content(kind, stereo, 44_100, tmp_path)
    whole = audio.load(joined)
    assert len(whole) / 16_000 == pytest.approx(5, abs=0.26)
    assert peak_hz(whole[8_000:24_000]) == pytest.approx(400, abs=2)
    assert peak_hz(whole[-24_000:-8_000]) == pytest.approx(900, abs=2)
    assert audio.info(joined).duration == pytest.approx(len(whole) / 16_000, abs=0.05)


def test_a_chain_may_mix_codecs(tmp_path: Path) -> None:
    joined = content("opus", tone(400, 2, 48_000), 48_000, tmp_path) + content("vorbis", tone(900, 2), 16_000, tmp_path)
    whole = audio.load(joined)
    assert len(whole) == pytest.approx(64_000, abs=256)
    assert [round(peak_hz(half)) for half in (whole[:32_000], whole[32_000:])] == [400, 900]


def test_streams_of_ogg_that_sound_together_are_no_chain(tmp_path: Path) -> None:
    path = encode_parts(tmp_path / "two.oga", [(0, tone(400, 2))], 16_000, others=[("fra", tone(900, 2))])
    content = path.read_bytes()
    assert content.count(b"OggS\0\2") == 2
    assert links(io.BytesIO(content), len(content)) == [(0, len(content))]
    assert len(links(io.BytesIO(content + content), 2 * len(content))) == 2
    assert peak_hz(audio.load(content + content, stream=1)) == pytest.approx(900, abs=2)


@settings(max_examples=20, deadline=None)
@given(
    parts=st.lists(st.integers(100, 40_000), min_size=2, max_size=6), start=st.floats(0, 1), length=st.floats(0.01, 1)
)
def test_any_number_of_flacs(parts: list[int], start: float, length: float) -> None:
    sound = np.round(noise(sum(parts) / 16_000) * 2**15) / 2**15
    cuts = np.cumsum([0, *parts])
    pieces = [sound[first:last] for first, last in itertools.pairwise(cuts)]
    joined = b"".join(wav_bytes(piece, format="FLAC") for piece in pieces)
    np.testing.assert_allclose(audio.load(joined), sound, atol=1e-6)
    first = round(start * (len(sound) - 1))
    count = max(1, round(length * (len(sound) - first)))
    excerpt = audio.load(joined, start=first / 16_000, duration=count / 16_000)
    np.testing.assert_allclose(excerpt, sound[first : first + count], atol=1e-6)


def test_a_part_that_is_cut_short_is_noticed(tmp_path: Path) -> None:
    whole = wav_bytes(noise(4), format="FLAC")
    with pytest.raises(TruncatedAudioError, match=r"4\.00 s"):
        audio.load(whole[: len(whole) // 2] + wav_bytes(noise(4), format="FLAC"))


def test_a_file_that_changes_is_looked_through_again(tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    sf.write(path, noise(1), 16_000)
    one = path.read_bytes()
    assert audio.info(path).duration == 1.0
    path.write_bytes(one + one)
    assert audio.info(path).duration == 2.0
